"""The claims ledger: a pure function of the registered claims and of what the chapters measured."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from densing.book.claims import Claim, load_claims
from densing.book.results import load_results
from densing.book.verdicts import decide
from densing.data.paths import repository_root
from densing.errors import InputError


@dataclass(frozen=True)
class LedgerRow:
    """One claim with its verdict; `measured` is the headline quantity as measured, or None."""

    claim: Claim
    measured: dict | None
    all_measured: dict[str, dict] | None
    verdict: str

    @property
    def measured_text(self) -> str:
        """The headline quantity as it stands in tables."""
        return format_measured(self.measured, self.claim.quantities[self.claim.headline]["unit"])

    def as_dict(self) -> dict:
        """The row as ``densing ledger --json`` prints it."""
        published = self.claim.published
        return {
            "id": self.claim.id,
            "system": self.claim.system,
            "published": {"value": published["value"], "unit": published["unit"]},
            "measured": None
            if self.measured is None
            else {key: self.measured.get(key) for key in ("value", "lower", "upper", "level")},
            "verdict": self.verdict,
            "chapter": self.claim.chapter,
        }


def ledger_rows(claims: Iterable[Claim], results: Iterable[dict]) -> list[LedgerRow]:
    """One row a claim, in the claims' order.

    Parameters
    ----------
    claims : as `load_claims` gives them.
    results : contents of results files, at most one a chapter.

    Raises
    ------
    InputError : a measurement of a claim that is not registered, or registered for another chapter.
    """
    claims = list(claims)
    owner = {claim.id: claim.chapter for claim in claims}
    measured: dict[str, dict] = {}
    for result in results:
        for claim_id, quantities in result["measurements"].items():
            if owner.get(claim_id) != result["chapter"]:
                raise InputError(
                    f"{result['chapter']}.json: {claim_id} is not a claim registered for this chapter"
                )
            measured[claim_id] = quantities
    rows = []
    for claim in claims:
        quantities = measured.get(claim.id)
        headline = None if quantities is None else quantities.get(claim.headline)
        rows.append(LedgerRow(claim, headline, quantities, decide(claim, quantities)))
    return rows


def committed_ledger(root: Path | None = None) -> list[LedgerRow]:
    """The ledger of the committed claims and results."""
    root = root or repository_root()
    paths = sorted((root / "data" / "results").glob("*.json"))
    results = [load_results(path) for path in paths if path.stem != "benchmarks"]
    return ledger_rows(load_claims(root / "data" / "claims.yml"), results)


def load_systems(root: Path | None = None) -> list[dict]:
    """The published systems that the book reproduces, ``data/systems.yml``, by number."""
    root = root or repository_root()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with open(root / "data" / "systems.yml", encoding="utf-8") as file:
        return sorted(yaml.load(file, Loader=loader), key=lambda system: system["number"])


def ledger_csv(rows: Iterable[LedgerRow]) -> str:
    """All claims as CSV text, one line a claim."""
    buffer = io.StringIO()
    fields = [
        "id", "system", "chapter", "claim", "published_value", "published_unit", "published", "source",
        "measured_quantity", "measured_value", "measured_lower", "measured_upper", "measured_level",
        "measured_unit", "verdict", "pending_reason", "criterion", "registered", "criterion_hash",
    ]  # fmt: skip
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(fields)
    for row in rows:
        claim, found = row.claim, row.measured or {}
        writer.writerow(
            [
                claim.id,
                claim.system,
                claim.chapter,
                claim.claim,
                claim.published["value"],
                claim.published["unit"],
                claim.published["text"],
                claim.source["cite"],
                claim.headline,
                *(found.get(key) for key in ("value", "lower", "upper", "level")),
                claim.quantities[claim.headline]["unit"],
                row.verdict,
                claim.pending,
                claim.criterion["text"],
                claim.registered,
                claim.hash,
            ]  # fmt: skip
        )
    return buffer.getvalue()


def format_measured(number: dict | None, unit: str = "1") -> str:
    """A measured number for a table: ``3.52 months [2.31, 4.27]``; a dash where there is none."""
    if number is None:
        return "–"
    shown = _digits(number["value"])
    if unit not in ("1", ""):
        shown += f" {unit}"
    if number.get("lower") is not None and number.get("upper") is not None:
        shown += f" [{_digits(number['lower'])}, {_digits(number['upper'])}]"
    return shown


def _digits(value: float | bool | None) -> str:
    if value is None:
        return "undefined"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) or (value == int(value) and abs(value) < 1e6):
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) < 0.01 else f"{value:.3g}"
