"""Documents from a reader's files."""

import json

import pytest

from densing.data import read_texts
from densing.errors import InputError


def test_a_folder_is_read_in_the_order_of_names(tmp_path):
    (tmp_path / "b.md").write_text("# second\r\nline\r", newline="")
    (tmp_path / "a.txt").write_bytes("\ufefffirst é".encode())
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "d.PY").write_text("third = 3\n")
    lines = [
        json.dumps({"text": "fourth", "other": 1}),
        "",
        json.dumps({"text": "  "}),
        '{"text": "fifth\\n"}',
    ]
    (tmp_path / "e.jsonl").write_text("\n".join(lines))
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "data.csv").write_text("not,read\n")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.txt").write_text("hidden")
    assert read_texts(tmp_path) == ["first é", "# second\nline\n", "third = 3\n", "fourth", "fifth\n"]
    assert read_texts(tmp_path / "b.md") == ["# second\nline\n"]


def test_files_that_are_not_text_are_left_out_loudly(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    (tmp_path / "b.txt").write_bytes(b"nul\0")
    (tmp_path / "c.txt").write_text("text")
    with pytest.warns(UserWarning, match=r"left out 2 files that are not UTF-8 text: a\.txt, b\.txt"):
        assert read_texts(tmp_path) == ["text"]
    with pytest.raises(InputError, match=r"a\.txt: is not UTF-8 text"):
        read_texts(tmp_path / "a.txt")


@pytest.mark.parametrize("line", ["{", "[1]", '{"body": "x"}', '{"text": 3}', "7", '{"text": "\\ud800"}'])
def test_bad_lines_are_named(tmp_path, line):
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "fine"}\n' + line + "\n")
    with pytest.raises(InputError, match=r"texts\.jsonl: line 2 must be a JSON object"):
        read_texts(path)


def test_other_paths_are_refused(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="no such file or folder"):
        read_texts(tmp_path / "absent")
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(InputError, match=r"one of the endings \.txt, \.md, \.py, \.jsonl"):
        read_texts(tmp_path / "a.csv")
    with pytest.raises(InputError, match="holds no text"):
        read_texts(tmp_path)
    (tmp_path / "a.txt").write_text("x" * 100)
    monkeypatch.setattr("densing.data.text_files.MAX_BYTES", 99)
    with pytest.raises(InputError, match="at most"):
        read_texts(tmp_path)
