"""What becomes of a raw text before it is a document of the corpus, and why some never do."""

import re

MIN_CHARACTERS = 200
MAX_CHARACTERS = 20_000
MAX_LINE = 400

_LICENSE = re.compile(
    r"licensed under the|permission is hereby granted|redistribution and use in source|"
    r"all rights reserved|spdx-license-identifier|without warranty of any kind",
    re.IGNORECASE,
)
_LETTER = re.compile(r"[^\W\d_]")


def clean_text(text: str, *, max_line: int = MAX_LINE) -> str | None:
    """`text` with plain line ends and no trailing blanks, or None if the corpus refuses it.

    Refused are texts outside 200 to 20,000 characters, with a line of more than `max_line` (prose whose
    paragraphs are one line each needs more than the default of 400), licence texts, generated tables (fewer
    than 45 % letters among what is not blank), and characters that UTF-8 cannot carry.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")
    text = re.sub(r"\n{3,}", "\n\n", text)
    if not MIN_CHARACTERS <= len(text) <= MAX_CHARACTERS:
        return None
    if max(map(len, text.split("\n"))) > max_line or _LICENSE.search(text) or "\0" in text:
        return None
    visible = len(text) - len(re.findall(r"\s", text))
    if len(_LETTER.findall(text)) < 0.45 * visible:
        return None
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return None
    return text
