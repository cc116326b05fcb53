"""Markdown that the build writes from claims, results and sources: verdict boxes, tables, the ledger, footers."""

from collections.abc import Sequence

from densing.book.chapters import PARTS, ChapterSource
from densing.book.freshness import Page
from densing.book.ledger import LedgerRow, format_measured
from densing.book.verdicts import NOT_YET, PENDING, VERDICTS


def badge(verdict: str) -> str:
    """A verdict as a coloured word."""
    return f'<span class="verdict verdict-{verdict.replace(" ", "-")}">{verdict}</span>'


def verdict_box(rows: Sequence[LedgerRow], page: Page) -> str:
    """The box under a chapter's title: one line a claim, and a warning where the page is stale."""
    parts = []
    if page.reasons:
        parts.append(
            f":::{{warning}}\nThis page is stale ({_shorten(page.reasons)}): its figures and numbers come from an "
            "earlier run.\n:::\n"
        )
    changed = page.record.get("inputs", {}).get("parameters")
    if changed:
        listed = ", ".join(f"`{name} = {value!r}`" for name, value in changed.items())
        parts.append(f":::{{note}}\nExecuted with {listed}.\n:::\n")
    if rows:
        lines = [f"- {badge(row.verdict)} {row.claim.claim} {_short_measure(row)}".rstrip() for row in rows]
        parts.append(
            ":::{admonition} Claims and verdicts\n:class: verdicts\n\n" + "\n".join(lines) + "\n:::\n"
        )
    return "\n".join(parts)


def claims_table(rows: Sequence[LedgerRow]) -> str:
    """A chapter's claims against its measurements, with the criterion of each."""
    if not rows:
        return ""
    blocks = []
    for row in rows:
        claim = row.claim
        lines = [
            f"**{_plain(claim.claim)}** {badge(row.verdict)}",
            "",
            f"- *Published:* {_plain(claim.published['text'])} ({_source(row)}).",
            f"- *Measured here:* {_plain(claim.measured)}",
        ]
        if row.all_measured:
            lines.append("- *Found:*")
            for name, number in row.all_measured.items():
                quantity = claim.quantities[name]
                lines.append(
                    f"    - {_plain(quantity['text'])}: **{format_measured(number, quantity['unit'])}**"
                )
        if claim.pending:
            lines.append(f"- *Pending:* {_plain(claim.pending)}")
        lines.append(
            f"- *Criterion* (`{claim.id}`, registered {claim.registered}, hash `{claim.hash}`): "
            f"{_plain(claim.criterion['text'])}"
        )
        lines += [
            f"- *Criterion changed {h['date']}* (was `{h['hash']}`): {_plain(h['reason'])}"
            for h in claim.history
        ]
        blocks.append("\n".join(lines))
    return (
        "\n\n".join(blocks)
        + "\n\nIntervals in brackets are at the 95 % level unless the text says otherwise.\n"
    )


def footer(page: Page) -> str:
    """The end of a chapter: digest, date, cost, versions, the command that runs it again, its sources."""
    record, chapter = page.record, page.chapter
    inputs = record.get("inputs", {})
    versions = ", ".join(f"{name} {version}" for name, version in inputs.get("distributions", {}).items())
    again = " ".join(
        ["densing run", chapter.slug] + [f"-p {k} {v!r}" for k, v in inputs.get("parameters", {}).items()]
    )
    source = f"/_static/sources/{chapter.slug}"
    return "\n".join(
        [
            "::::{admonition} How this page was made",
            ":class: footer",
            "",
            f"Executed on {record.get('executed', 'an unknown date')} in {record.get('seconds', 0):.0f} s with Python "
            f"{record.get('python', '?')}; digest `{record.get('digest', 'none')}` over its source, its parameters, "
            f"{len(inputs.get('modules', {}))} modules of the library, {len(inputs.get('files', {}))} data files and "
            f"{len(inputs.get('external', {}))} external files.",
            "",
            f"Run it again: `{again}`. Sources: "
            f"{{download}}`{chapter.slug}.py <{source}.py>`, {{download}}`{chapter.slug}.ipynb <{source}.ipynb>`.",
            "",
            ":::{dropdown} Versions",
            f"{versions}.",
            ":::",
            "::::",
        ]
    )


def progress(chapters: Sequence[ChapterSource], rows: Sequence[LedgerRow], systems: Sequence[dict]) -> str:
    """One sentence on how far the book is."""
    built = {number for chapter in chapters for number in chapter.systems}
    counts = [f"{sum(r.verdict == v for r in rows)} {v}" for v in VERDICTS]
    waiting = sum(r.verdict in (PENDING, NOT_YET) for r in rows)
    return (
        f"{len(built)} of {len(systems)} systems are built. {len(rows)} claims are registered: {', '.join(counts)}, "
        f"{waiting} waiting."
    )


def chapter_list(chapters: Sequence[ChapterSource]) -> str:
    """The finished chapters, by part."""
    lines = []
    for part, heading in PARTS.items():
        own = [c for c in chapters if c.part == part]
        if own:
            lines.append(f"- **{heading}**")
            lines += [f"    - [{c.title}](chapters/{c.part}/{c.slug}.ipynb)" for c in own]
    return "\n".join(lines)


def ledger_page(rows: Sequence[LedgerRow], pages: Sequence[Page], systems: Sequence[dict]) -> str:
    """The ledger: all systems, built ones first, each with its claims; then the library's own claims."""
    built = {number for page in pages for number in page.chapter.systems}
    registered = {row.claim.system for row in rows} | built
    planned = [s for s in systems if s["number"] not in registered]
    blocks = ["{download}`All claims as CSV </_static/claims.csv>`", ""]
    for system in sorted(
        (s for s in systems if s["number"] in registered), key=lambda s: s["number"] not in built
    ):
        number = system["number"]
        own = [row for row in rows if row.claim.system == number]
        blocks.append(f"## {number}. {system['name']}\n")
        blocks.append(f"{system['summary']} {{cite:p}}`{system['cite']}` {_chapter_links(own, pages)}\n")
        blocks.append(_ledger_table(own))
    library = [row for row in rows if row.claim.system is None]
    if library:
        blocks.append(f"## The library's own claims\n\n{_chapter_links(library, pages)}\n")
        blocks.append(_ledger_table(library))
    blocks.append("## Not built yet\n")
    blocks += ["| system | part | claims to be tested |", "| --- | --- | --- |"]
    blocks += [
        f"| {s['number']}. {s['name']} ({s['year']}) | {PARTS[s['part']]} | {s['claims']} |" for s in planned
    ]
    return "\n".join(blocks) + "\n"


def external_tables_list(tables: dict[str, dict], pages: Sequence[Page]) -> str:
    """The tables that the book reads and does not ship, and the chapters that use them."""
    lines = []
    for name, entry in tables.items():
        users = [p.chapter.slug for p in pages if name in p.record.get("inputs", {}).get("external", {})]
        lines += [
            f"`{name}`",
            f": {entry['contents']} {entry['rows']:,} rows in `{entry['file']}`, SHA-256 `{entry['sha256'][:16]}…`. "
            f"Source: {entry['source']}; paper: {entry['paper']}; licence: {entry['licence']}. "
            f"Used by {', '.join(users) or 'no chapter yet'}.",
            "",
        ]
    return "\n".join(lines)


def api_reference(rooms: Sequence[str], digest: str) -> str:
    """The public names of every room, documented from their docstrings; `digest` of the sources dates the page."""
    blocks = [f"<!-- library {digest} -->", ""]
    for room in rooms:
        blocks += [f"## densing.{room}", "", "```{eval-rst}", f".. automodule:: densing.{room}"]
        blocks += ["   :members:", "   :imported-members:", "```", ""]
    return "\n".join(blocks)


def _ledger_table(rows: Sequence[LedgerRow]) -> str:
    lines = ["| claim | published | measured | verdict |", "| --- | --- | --- | --- |"]
    for row in rows:
        claim = row.claim
        reason = f" {_plain(claim.pending)}" if claim.pending else ""
        lines.append(
            f"| {_plain(claim.claim)} | {_plain(claim.published['text'])} | {_plain(row.measured_text)} | "
            f"{badge(row.verdict)}{reason} |"
        )
    return "\n".join(lines) + "\n"


def _chapter_links(rows: Sequence[LedgerRow], pages: Sequence[Page]) -> str:
    """Links to the chapters that test these claims, each with what its last run cost."""
    slugs = {row.claim.chapter for row in rows}
    links = []
    for page in (page for page in pages if page.chapter.slug in slugs):
        chapter = page.chapter
        cost = f", {page.record['seconds']:.0f} s" if "seconds" in page.record else ""
        links.append(f"[{chapter.title}](../{chapter.part}/{chapter.slug}.ipynb){cost}")
    return f"Tested in {'; '.join(links)}." if links else "The chapter is planned."


def _short_measure(row: LedgerRow) -> str:
    claim = row.claim
    if row.all_measured is None:
        return f"*({_plain(claim.pending)})*" if claim.pending else ""
    found = []
    for name in claim.show or (claim.headline,):
        quantity = claim.quantities[name]
        shown = format_measured(row.all_measured[name], quantity["unit"])
        found.append(f"{_plain(quantity['text'])} **{shown}**")
    return f"*Published:* {_plain(claim.published['text'])}. *Here:* {'; '.join(found)}."


def _source(row: LedgerRow) -> str:
    source = row.claim.source
    cite = f"{{cite:t}}`{source['cite']}`, " if source["cite"] else ""
    return f"{cite}{_plain(source['where'])}"


def _shorten(reasons: Sequence[str], most: int = 3) -> str:
    rest = len(reasons) - most
    return "; ".join(reasons[:most]) + (f"; and {rest} more" if rest > 0 else "")


def _plain(text: str | None) -> str:
    """Text for Markdown: characters that would start mark-up are escaped."""
    text = text or ""
    for character in "\\*_`$<>[]{}|#":
        text = text.replace(character, "\\" + character)
    return text
