"""Package archives: registered, found, verified, read in place, fetched by pip; with small packages made here."""

import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from functools import cache

import pytest

from densing.data import (
    archive_path,
    fetch_archives,
    inputs_used,
    open_archive,
    registered_archives,
    repository_root,
    start_recording,
)
from densing.errors import ArchiveMissing, ExternalDataMissing

FILES = {
    "fake_words/data/a.txt": b"one\r\ntwo\n",
    "fake_words/data/b.txt": "drei \N{EURO SIGN}".encode(),
    "fake_words/data/picture.bin": b"\xff\xfe\x00\x01" * 1_000,
    "fake_words/__init__.py": b"raise SystemExit('imported')\n",
}
METADATA = b"Metadata-Version: 2.1\nName: fake-words\nVersion: 1.0\n"
WHEEL = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
WHEEL_FILE, SDIST_FILE = "fake_words-1.0-py3-none-any.whl", "fake-sources-2.0.tar.gz"


@cache  # its bytes hold the time
def wheel() -> bytes:
    content = io.BytesIO()
    about = {"METADATA": METADATA, "WHEEL": WHEEL, "RECORD": b""}
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in FILES.items():
            file.writestr(name, data)
        for name, data in about.items():
            file.writestr(f"fake_words-1.0.dist-info/{name}", data)
    return content.getvalue()


@cache
def sdist() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as file:
        for name, data in FILES.items():
            info = tarfile.TarInfo(f"fake-sources-2.0/{name}")
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("fake-sources-2.0/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    return content.getvalue()


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A root with a register of two archives; the wheel also lies in a folder that pip searches."""
    made = {"fake-words": ("1.0", WHEEL_FILE, wheel()), "fake-sources": ("2.0", SDIST_FILE, sdist())}
    (tmp_path / "data" / "external").mkdir(parents=True)
    (tmp_path / "data" / "claims.yml").write_text("[]")
    entries = [
        f'[{name}]\nversion = "{version}"\nfile = "{file}"\nsha256 = "{hashlib.sha256(data).hexdigest()}"\n'
        f'megabytes = 0.1\nheavy = {str(name == "fake-sources").lower()}\nlicence = "none"\ncontents = "words"\n'
        for name, (version, file, data) in made.items()
    ]
    (tmp_path / "data" / "archives.toml").write_text("\n".join(entries))
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / WHEEL_FILE).write_bytes(made["fake-words"][2])
    monkeypatch.setenv("DENSING_ROOT", str(tmp_path))
    monkeypatch.delenv("DENSING_EXTERNAL", raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    registered_archives.cache_clear()
    yield tmp_path
    registered_archives.cache_clear()


@pytest.fixture
def both(place):
    (place / "data" / "external" / WHEEL_FILE).write_bytes(wheel())
    (place / "data" / "external" / SDIST_FILE).write_bytes(sdist())
    return place


@pytest.mark.parametrize(("name", "prefix"), [("fake-words", ""), ("fake-sources", "fake-sources-2.0/")])
def test_members_are_read_in_place(both, name, prefix):
    archive = open_archive(name)
    assert archive.members("*.txt") == [
        f"{prefix}fake_words/data/a.txt",
        f"{prefix}fake_words/data/b.txt",
    ]
    assert {f"{prefix}{member}" for member in FILES} <= set(archive.members())
    assert not any("link" in member for member in archive.members())
    for member, content in FILES.items():
        assert archive.member(prefix + member) == content
    assert dict(archive.read("*/data/*")) == {
        prefix + k: v for k, v in FILES.items() if k.startswith("fake_words/data/")
    }
    assert archive.text(f"{prefix}fake_words/data/a.txt") == "one\ntwo\n"
    assert sorted(p.name for p in (both / "data" / "external").iterdir()) == sorted([WHEEL_FILE, SDIST_FILE])
    assert "fake_words" not in sys.modules


def test_a_wrong_member_is_refused_with_the_nearest(both):
    archive = open_archive("fake-words")
    with pytest.raises(
        ValueError, match=r"fake_words/data/c.txt.*must be a member.*fake_words/data/[ab].txt"
    ):
        archive.member("fake_words/data/c.txt")
    with pytest.raises(ValueError, match="picture.bin is not UTF-8"):
        archive.text("fake_words/data/picture.bin")
    with pytest.raises(ValueError, match="name = 'leftpad'"):
        open_archive("leftpad")


def test_an_absent_archive_names_the_command_and_is_noted_as_an_input(place):
    start_recording()
    with pytest.raises(ArchiveMissing, match="densing fetch fake-words") as error:
        open_archive("fake-words")
    assert isinstance(error.value, ExternalDataMissing) and str(error.value).startswith("fake-words: ")
    assert inputs_used()["external"] == {"fake-words": hashlib.sha256(wheel()).hexdigest()}


def test_a_page_made_without_an_archive_is_stale_once_it_is_here(place):
    from densing.book.freshness import _is_present

    assert not _is_present("fake-words")
    (place / "data" / "external" / WHEEL_FILE).write_bytes(wheel())
    assert _is_present("fake-words")


def test_the_named_folder_comes_first_and_another_file_is_refused(both, tmp_path, monkeypatch):
    assert archive_path("fake-words").parent == both / "data" / "external"
    named = tmp_path / "named"
    named.mkdir()
    monkeypatch.setenv("DENSING_EXTERNAL", str(named))
    assert archive_path("fake-words").parent == both / "data" / "external"
    (named / WHEEL_FILE).write_bytes(wheel() + b"x")
    with pytest.raises(ValueError, match=rf"named/{WHEEL_FILE}: SHA-256 is .* damaged or another version"):
        archive_path("fake-words")
    with pytest.raises(ValueError, match="damaged or another version"):
        fetch_archives(["fake-words"])
    (named / WHEEL_FILE).write_bytes(wheel())
    assert archive_path("fake-words").parent == named


def test_pip_fetches_what_is_absent_or_damaged_and_installs_nothing(place, capsys):
    target = place / "data" / "external" / WHEEL_FILE
    assert fetch_archives() == {"fake-words": target}  # the light ones
    assert target.read_bytes() == wheel() and "fetching 0.1 MB" in capsys.readouterr().out
    (place / "index" / WHEEL_FILE).unlink()
    assert fetch_archives(["fake-words"]) == {"fake-words": target}  # from the disk
    (place / "index" / WHEEL_FILE).write_bytes(wheel())
    target.write_bytes(b"damaged")
    assert fetch_archives(["fake-words"], progress=False) == {"fake-words": target}
    assert target.read_bytes() == wheel()
    assert [p.name for p in target.parent.iterdir()] == [WHEEL_FILE]
    found = subprocess.run([sys.executable, "-c", "import fake_words"], capture_output=True, text=True)
    assert "ModuleNotFoundError" in found.stderr


def test_a_file_that_is_not_the_registered_one_never_arrives(place):
    (place / "index" / WHEEL_FILE).write_bytes(wheel() + b"x")
    with pytest.raises(ArchiveMissing, match="fake-words: pip could not get .* pip said: ERROR"):
        fetch_archives(["fake-words"], progress=False)
    assert list((place / "data" / "external").iterdir()) == []
    with pytest.raises(ValueError, match="names = .*must be one of"):
        fetch_archives(["fake-words", "other"])


def test_the_register_is_complete():
    registry = registered_archives()
    fields = {"version", "file", "sha256", "megabytes", "heavy", "licence", "contents"}
    page = (repository_root() / "chapters/reference/data_and_licences.md").read_text(encoding="utf-8")
    assert list(registry) == sorted(registry)
    for name, entry in registry.items():
        assert set(entry) == fields and len(entry["sha256"]) == 64
        assert entry["file"].startswith(f"{name.replace('-', '_')}-{entry['version']}")
        assert entry["file"].endswith((".whl", ".tar.gz")) and isinstance(entry["heavy"], bool)
        assert f"{name} {entry['version']}" in page, "the data page names it"
