"""Questions from the documentation and code of the validation distributions: doc_next, doc_match, code_close."""

import hashlib
import io
import json
import re
import tokenize
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np

from densing.data.corpora import (
    SPLITS,
    Document,
    build_corpus,
    corpus_folder,
    distribution_documents,
    documents,
)
from densing.data.tokenizers import write_whole
from densing.evaluation.capability.contamination import seen_in
from densing.evaluation.capability.questions import MOST_CHOICES, Question, digest

PROMPT_BYTES, CODE_BYTES = 64, 48
# Of the choices: a next line shows in its first words, a summary needs its verb and object.
LINE_BYTES, SUMMARY_BYTES = 24, 36
LEAST_BYTES = 14  # of a choice: a word or two could continue anything
LIKE_LENGTH = 2  # choices of one question differ in length by at most this many bytes
A_DOCUMENT = 2  # questions of one family from one docstring, at most
_MARK = re.compile(r"<(doc|pad|ans|end|r\d+)>")
_NOT_PROSE = re.compile(r"(?m)^\s*(>>>|\.\.|[-*+] |:|[-=~]{3}|\||In \[)")
_SUMMARY = re.compile(r"[A-Z][a-z]+ ")
_OPENS = {")": "(", "]": "[", "}": "{"}
# The three rare endings are right so seldom in real code that they only serve as wrong ones, with 8 choices.
ENDINGS, RARE_ENDINGS = ("))", "])", "]]", ")]", "})", ")}"), ("]}", "}}", "}]")


@cache
def load_text_questions() -> dict[str, list[Question]]:
    """All questions of the three families, made once from the installed packages and cached beside the corpus.

    Raises
    ------
    InputError : a corpus that is not the registered one.
    """
    build_corpus()
    path = corpus_folder() / f"questions-{_rules()}.jsonl"
    if not path.is_file():
        lines = (json.dumps(asdict(question)) + "\n" for question in make_text_questions())
        write_whole(path, "".join(lines).encode())
    found: dict[str, list[Question]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = json.loads(line)
        question = Question(**fields | {"wrong": tuple(fields["wrong"])})
        found.setdefault(question.family, []).append(question)
    return found


def _rules() -> str:
    """Identity of the rules that make the questions: the code of this module."""
    return hashlib.sha256(Path(__file__).read_bytes().replace(b"\r\n", b"\n")).hexdigest()[:12]


def make_text_questions() -> list[Question]:
    """Make the questions: all documents of the validation distributions, none that shares 13 words with training."""
    held_out = [
        document
        for split in ("val_b", "val_a")
        for name in SPLITS[split]
        for document in distribution_documents(name)
    ]
    rough = [
        *_with_wrong(_candidates(held_out, _next_lines)),
        *_with_wrong(_candidates(held_out, _summaries)),
        *_balanced(_candidates(held_out, _endings)),
    ]
    training = (document.text for document in documents("train"))
    seen = seen_in([question.prompt + question.right for question in rough], training)
    return [question for question, known in zip(rough, seen, strict=True) if not known]


def _candidates(
    held_out: Sequence[Document], find: Callable[[Document], Iterator[Question]]
) -> list[Question]:
    """Questions without wrong choices, in the order of a hash; none twice, few from one document."""
    found: dict[tuple[str, str], Question] = {}
    for document in held_out:
        own = sorted(filter(_plain, find(document)), key=lambda q: digest(q.prompt + q.right))
        if document.kind == "code":  # one an ending: the rare endings set how many questions there are
            own = list({q.right: q for q in own}.values())
        else:
            own = own[:A_DOCUMENT]
        for question in own:
            found.setdefault((question.prompt, question.right), question)
    return sorted(found.values(), key=lambda q: digest(f"{q.family} {q.prompt} {q.right}"))


def _plain(question: Question) -> bool:
    text = question.prompt + question.right
    return text.isascii() and not _MARK.search(text)


def _group(document: Document) -> str:
    return f"{digest(f'{document.distribution} {document.module} {document.name} {document.kind}'):016x}"


def _cut(text: str, most: int) -> str:
    """The first words of `text`, at most `most` characters."""
    return text if len(text) <= most else text[: most + 1].rpartition(" ")[0].rstrip(" ,;:(")


def _tail(text: str, most: int) -> str:
    """The last words of `text`, at most `most` characters; nothing where the last word is longer."""
    return text if len(text) <= most else text[-most - 1 :].partition(" ")[2]


def _wordy(text: str) -> bool:
    return sum(c.isalpha() or c == " " for c in text) >= 0.85 * len(text)


def _next_lines(document: Document) -> Iterator[Question]:
    if document.kind != "docstring":
        return
    for paragraph in re.split(r"\n\s*\n", document.text):
        if _NOT_PROSE.search(paragraph):
            continue
        lines = [" ".join(line.split()) for line in paragraph.split("\n")]
        for k in range(1, len(lines)):
            prompt = _tail(" ".join(lines[:k]), PROMPT_BYTES)
            right = " " + _cut(lines[k], LINE_BYTES - 1)
            if min(len(prompt), len(right)) >= LEAST_BYTES and _wordy(prompt) and _wordy(right):
                yield Question("doc_next", 0, prompt, "", right, (), _group(document))


def _summaries(document: Document) -> Iterator[Question]:
    name = document.name.split(".")[-1]
    summary = " ".join(re.split(r"\n\s*\n", document.text)[0].split())
    if document.kind != "docstring" or not name or name.startswith("__") or not _SUMMARY.match(summary):
        return
    right = " " + _cut(summary, SUMMARY_BYTES - 1)
    if len(right) >= LEAST_BYTES and _wordy(right) and len(name) < PROMPT_BYTES:
        # a name, a colon and what it does: how lists of related functions are written
        yield Question("doc_match", 0, f"{name} :", "it :", right, (), _group(document))


def _endings(document: Document) -> Iterator[Question]:
    if document.kind != "code":
        return
    closed = list(_brackets(document.text))
    for (_, at, first), (start, after, second) in zip(closed, closed[1:], strict=False):
        if after != at + 1 or at - start > CODE_BYTES or first + second not in ENDINGS:
            continue
        # from the start of the line or of a word, if that leaves the outer bracket in sight
        line = document.text.rfind("\n", 0, start) + 1
        begin = line if at - line <= CODE_BYTES else start
        before = document.text[max(line, at - CODE_BYTES) : start]
        if begin == start and " " in before:
            begin -= len(before.partition(" ")[2])
        prompt = document.text[begin:at].lstrip()
        yield Question("code_close", 0, prompt, "", first + second, (), _group(document))


def _brackets(code: str) -> Iterator[tuple[int, int, str]]:
    """Closing brackets of `code` outside strings: place of the opening one, own place, the bracket."""
    starts = [0]
    for line in code.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    opened: list[tuple[str, int]] = []
    inside = 0  # f-strings: tokens from Python 3.12 on, and strings before
    try:
        for token in tokenize.generate_tokens(io.StringIO(code + "\n").readline):
            name = tokenize.tok_name[token.type]
            inside += {"FSTRING_START": 1, "FSTRING_END": -1}.get(name, 0)
            if inside or token.type != tokenize.OP:
                continue
            place = starts[token.start[0] - 1] + token.start[1]
            if token.string in _OPENS.values():
                opened.append((token.string, place))
            elif token.string in _OPENS:
                if not opened or opened[-1][0] != _OPENS[token.string]:
                    return
                yield opened.pop()[1], place, token.string
    except (tokenize.TokenError, IndentationError):
        return


def _with_wrong(questions: list[Question]) -> Iterator[Question]:
    """Give each question the right choices of others, of like length and from other documents, at random."""
    pool = sorted(questions, key=lambda q: (len(q.right), digest(q.right)))
    lengths = [len(question.right) for question in pool]
    by_length = {n: [q for q in pool if abs(len(q.right) - n) <= LIKE_LENGTH // 2] for n in set(lengths)}
    for question in questions:
        near = by_length[len(question.right)]
        seed = f"{question.prompt} {question.right}"
        wrong: dict[str, None] = {}
        for k in range(100 * MOST_CHOICES):
            other = near[digest(f"{seed} {k}") % len(near)]
            if other.group != question.group and other.right != question.right:
                wrong[other.right] = None
            if len(wrong) == MOST_CHOICES - 1:
                yield _replace(question, tuple(wrong))
                break


def _balanced(questions: list[Question]) -> Iterator[Question]:
    """Bracket questions in fours: four endings, each right once, and wrong in the other three.

    So no ending is right more often than it is wrong, and a model that likes one of them is at chance.
    """
    rng = np.random.default_rng(0)
    pools = {ending: [q for q in questions if q.right == ending] for ending in ENDINGS}
    while sum(map(bool, pools.values())) >= 4:
        left = np.array([len(pools[ending]) for ending in ENDINGS], float)
        four = [ENDINGS[i] for i in rng.choice(len(ENDINGS), 4, replace=False, p=left / left.sum()).tolist()]
        rest = [ending for ending in (*ENDINGS, *RARE_ENDINGS) if ending not in four]
        for i, ending in enumerate(four):
            others = [
                four[i ^ 1],
                four[i ^ 2],
                four[i ^ 3],
            ]  # the first is mutual: balanced with two choices too
            yield _replace(pools[ending].pop(), (*others, *rest)[: MOST_CHOICES - 1])


def _replace(question: Question, wrong: tuple[str, ...]) -> Question:
    return Question(**asdict(question) | {"wrong": wrong})
