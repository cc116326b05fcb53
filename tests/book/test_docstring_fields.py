"""Docstrings of the library become field lists that say the same."""

from inspect import cleandoc

from docutils.core import publish_doctree

from densing.book.docstring_fields import field_lists

_DOCSTRING = cleandoc(
    """Fit a line.

    Parameters
    ----------
    x, y : inputs and response, (n,);
        finite.
    *rest : more of them.

    Returns
    -------
    The slope per day.
    A number.

    Raises
    ------
    InputError : `x` holds nan.

    References
    ----------
    Somebody (2024), equation 1.
    """
)


def _fields(lines: list[str]) -> dict[str, list[str]]:
    tree = publish_doctree("\n".join(lines), settings_overrides={"report_level": 2, "halt_level": 2})
    kinds = ("list_item", "paragraph")
    return {
        field[0].astext(): [
            " ".join(part.astext().split())
            for part in field[1].findall(lambda n: n.tagname in kinds)
            if part.parent.tagname != "list_item"
        ]
        for field in tree.findall(lambda n: n.tagname == "field")
    }


def test_sections_become_fields():
    lines = field_lists(_DOCSTRING.splitlines())
    assert _fields(lines[: lines.index("References")]) == {
        "Parameters": ["x, y -- inputs and response, (n,); finite.", "*rest -- more of them."],
        "Returns": ["The slope per day. A number."],
        "Raises": ["InputError -- x holds nan."],
    }


def test_other_sections_and_plain_docstrings_stay():
    lines = field_lists(_DOCSTRING.splitlines())
    assert lines[lines.index("References") :] == _DOCSTRING.splitlines()[-3:]
    plain = ["One line.", "", "A list:", "- Returns", "- Raises"]
    assert field_lists(plain) == plain


def test_plain_style_is_kept():
    (line,) = field_lists(["Mean |error| of ``a | b``, not `a|b`, by `Law`s."])
    tree = publish_doctree(line, settings_overrides={"report_level": 2, "halt_level": 2})
    assert tree.astext() == "Mean |error| of a | b, not a|b, by Laws."


def test_an_entry_may_stand_over_its_text():
    assert _fields(field_lists(["Parameters", "----------", "x", "    The input.", "y : the response."])) == {
        "Parameters": ["x -- The input.", "y -- the response."]
    }
