"""The registers (systems, bibliography, external tables, citation) and the front matter agree."""

import os
import re
import subprocess
from collections import Counter

import pytest
import yaml

import densing
from densing.book import PARTS, find_chapters, load_claims
from densing.data import external_tables, published_path, repository_root

ROOT = repository_root()
FIELDS = {
    "number", "name", "title", "authors", "year", "venue", "arxiv", "cite", "part", "claims", "summary",
}  # fmt: skip


@pytest.fixture(scope="module")
def systems():
    return yaml.safe_load((ROOT / "data" / "systems.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def bibliography():
    from pybtex.database import parse_file

    return parse_file(ROOT / "references.bib").entries


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def project_files():
    """Files that belong to the project: tracked, or untracked and not ignored."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: no list of the project's files")
    return sorted({ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()})


def own_pages(*suffixes):
    """Pages and sources of the book; the tests keep pages of their own."""
    outside = {"tests", "mathjax"}
    return [
        p for p in project_files() if p.suffix in suffixes and not outside & set(p.relative_to(ROOT).parts)
    ]


def readable_text(path):
    """Text of a file of our own; None for binary files and for packages that are kept unchanged."""
    if "mathjax" in path.relative_to(ROOT).parts:
        return None
    content = path.read_bytes()
    return None if b"\0" in content else content.decode("utf-8")


# Systems


def test_systems_are_68_and_distinct(systems):
    assert [s["number"] for s in systems] == list(range(1, 69))
    for field in ("name", "title", "arxiv", "cite"):
        repeated = [value for value, n in Counter(str(s[field]).lower() for s in systems).items() if n > 1]
        assert not repeated, field


def test_systems_have_every_field_and_nothing_else(systems):
    for system in systems:
        assert set(system) == FIELDS, system["number"]
        assert system["part"] in PARTS and system["part"] != "reference", system["number"]
        assert isinstance(system["claims"], int) and 4 <= system["claims"] <= 7, system["number"]
        assert re.fullmatch(r"\d{4}\.\d{4,5}", system["arxiv"]), system["number"]
        assert system["year"] == 2000 + int(system["arxiv"][:2]), system["number"]
        assert system["summary"].count(". ") == 0 and system["summary"].endswith("."), system["number"]


def test_systems_agree_with_the_bibliography(systems, bibliography):
    for system in systems:
        entry = bibliography[system["cite"]]
        assert entry.fields["eprint"] == system["arxiv"], system["cite"]
        first = entry.persons["author"][0]
        surname = " ".join(first.prelast_names + first.last_names)
        assert re.match(rf"{re.escape(surname)}(,| and others|$)", system["authors"]), system["cite"]


def test_claims_of_a_system_do_not_outnumber_its_register(systems):
    registered = Counter(claim.system for claim in load_claims() if claim.system is not None)
    expected = {s["number"]: s["claims"] for s in systems}
    for number, count in registered.items():
        assert count <= expected[number], number


# Bibliography


def test_bibliography_is_sorted_without_repeats():
    keys = re.findall(r"(?m)^@\w+\{([^,\s]+),", text_of("references.bib"))
    assert keys == sorted(set(keys))
    assert all(re.fullmatch(r"[a-z]+\d{4}[a-z0-9]+", key) for key in keys)


def test_bibliography_entries_are_complete(bibliography):
    for key, entry in bibliography.items():
        assert {"title", "year"} <= set(entry.fields), key
        assert entry.persons["author"], key
        assert re.search(r"\d{4}", key).group() <= entry.fields["year"], key


def test_every_citation_has_an_entry(bibliography):
    for path in own_pages(".md", ".py"):
        for keys in re.findall(r"\{cite(?::[a-z]+)?\}`([^`]+)`", path.read_text(encoding="utf-8")):
            for key in keys.split(","):
                assert key.strip() in bibliography, f"{path.name}: {key}"
    for claim in load_claims():
        if claim.source["cite"]:
            assert claim.source["cite"] in bibliography, claim.id


# External tables


def test_external_tables_are_complete():
    tables = external_tables()
    assert list(tables) == sorted(tables) and len(tables) >= 30
    for name, entry in tables.items():
        assert set(entry) == {"file", "sha256", "rows", "source", "paper", "licence", "contents"}, name
        assert entry["file"] == f"{name}.csv" and re.fullmatch(r"[0-9a-f]{64}", entry["sha256"]), name
        assert not (ROOT / "data" / "published" / entry["file"]).exists(), f"{name} is shipped as well"
        # the build puts these into a Markdown table
        assert not set("|*{}`") & set(entry["source"] + entry["licence"]), name
    assert len({entry["sha256"] for entry in tables.values()}) == len(tables)


@pytest.mark.parametrize("name", external_tables())
def test_external_table_has_its_checksum_and_rows(name):
    import pandas as pd

    if not os.environ.get("DENSING_EXTERNAL"):
        pytest.skip("DENSING_EXTERNAL is not set: the external tables are not on this machine")
    path = published_path(name)
    assert len(pd.read_csv(path, low_memory=False)) == external_tables()[name]["rows"]


def test_every_shipped_table_is_described():
    page = text_of("chapters/reference/data_and_licences.md")
    for table in (ROOT / "data" / "published").glob("*.csv"):
        assert table.stem in page, table.name


# Citation, licences, front matter


def test_citation_file():
    citation = yaml.safe_load(text_of("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors", "version", "license", "type"} <= set(citation)
    assert citation["cff-version"] == "1.2.0" and citation["type"] in ("software", "dataset")
    assert citation["authors"] and all(author.get("name") for author in citation["authors"])
    assert citation["version"] == densing.__version__
    assert densing.__version__ in text_of("chapters/reference/how_to_cite.md")


def test_licences():
    code = text_of("LICENSE")
    assert code.startswith("BSD 3-Clause License") and code.count("\n") > 25
    assert "creativecommons.org/licenses/by/4.0" in text_of("LICENSE-text")


def test_readme_first_screen():
    screen = text_of("README.md")[:2000]
    picture = re.search(r"!\[([^\]]*)\]\((\S+)\)", screen)
    assert picture and len(picture.group(1)) > 60
    assert "make book" in screen and "make test" in screen


def test_readme_counts_the_systems_that_are_built(systems):
    built = {number for chapter in find_chapters() for number in chapter.systems}
    sentence = re.search(r"<!-- progress -->(.*?)<!-- /progress -->", text_of("README.md")).group(1)
    assert sentence == f"{len(built)} of {len(systems)} systems built"


def test_index_lists_the_parts_with_their_papers(systems):
    rows = re.findall(r"(?m)^\| ([^|]+?) \| [^|]+ \| (\d+) \|$", text_of("index.md"))
    count = Counter(system["part"] for system in systems)
    assert rows == [(heading, str(count[part])) for part, heading in PARTS.items() if part != "reference"]


@pytest.mark.parametrize(
    ("page", "markers"),
    [
        ("index.md", ["progress", "chapters"]),
        ("chapters/reference/api.md", ["api"]),
        ("chapters/reference/ledger.md", ["ledger"]),
        ("chapters/reference/data_and_licences.md", ["external-tables"]),
    ],
)
def test_pages_hold_the_places_that_the_build_fills(page, markers):
    assert re.findall(r"(?m)^<!-- densing:([a-z-]+) -->$", text_of(page)) == markers


def test_links_between_pages_lead_to_files():
    for path in own_pages(".md"):
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (path.parent / target).is_file(), f"{path.relative_to(ROOT)}: {target}"


# What no file of the project may hold


def _findings(pattern, files):
    found = []
    for path in files:
        text = readable_text(path) or ""
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in re.finditer(pattern, text)]
    return found


def test_no_package_registry_is_named():
    # put together here, so that this file does not name them either
    names = ["pypi org", "pythonhosted org", "download.pytorch org", "registry.npmjs org", "npmjs com"]
    names += ["anaconda org", "crates io", "proxy.golang org", "deb.debian org"]
    hosts = [name.replace(" ", ".") for name in names]
    assert not _findings("|".join(map(re.escape, hosts)), project_files())


def test_no_path_of_one_machine():
    folders = "|".join(["work", "root", "home", "Users"])
    assert not _findings(rf"(?<![\w.~$-])/(?:{folders})/[\w.]+", project_files())


def test_no_trace_of_the_workshop():
    words = ["/".join(["shared", name]) for name in ("specs", "design", "anchors", "hooks")]
    words += ["." + "library/", "tmp/" + "helpers", "issues " + "show"]
    assert not _findings("|".join(map(re.escape, words)), project_files())


def test_no_unfinished_work_is_marked():
    # notebooks hold images as base64, in which any four letters turn up
    files = [p for p in project_files() if p.suffix != ".ipynb"]
    assert not _findings("|".join([rf"\b{word}\b" for word in ("TO" + "DO", "FIX" + "ME", "X" * 3)]), files)
