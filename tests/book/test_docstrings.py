"""How docstrings reach the API reference."""

from densing.book.docstrings import described_entries

TEXT = """A short line : with a colon.

Parameters
----------
first, second : two things
    that go on.
plain : one thing.

Raises
------
InputError : when it is wrong.

Returns
-------
A mapping : left alone.""".splitlines()


def test_entries_of_sections_are_split_and_nothing_else():
    lines = described_entries(TEXT)
    assert lines[0] == TEXT[0]
    assert lines[4:7] == ["first, second", "    two things", "    that go on."]
    at = lines.index("Raises")
    assert lines[at + 2 : at + 4] == ["InputError", "    when it is wrong."]
    assert lines[-1] == "A mapping : left alone."
