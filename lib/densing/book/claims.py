"""Claims: what a paper says, what is measured here, and the criterion that decides.

They stand in ``data/claims.yml``, written before the deciding measurement. Neither this file nor the results
have a place where a verdict could be typed: `densing.book.verdicts` computes it.
"""

import datetime
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from densing.data.paths import repository_root
from densing.errors import InputError

_OPTIONAL_TEXT = {"type": ["string", "null"]}
_SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": [
            "id",
            "system",
            "chapter",
            "claim",
            "published",
            "source",
            "measured",
            "quantities",
            "criterion",
            "registered",
            "hash",
        ],
        "properties": {
            "id": {"type": "string", "pattern": "^[a-z0-9-]+/[a-z0-9-]+$"},
            "system": {"type": ["integer", "null"], "minimum": 1, "maximum": 68},
            "chapter": {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"},
            "claim": {"type": "string", "minLength": 10},
            "published": {
                "type": "object",
                "additionalProperties": False,
                "required": ["value", "unit", "text"],
                "properties": {
                    "value": {"type": ["number", "null"]},
                    "unit": _OPTIONAL_TEXT,
                    "text": {"type": "string"},
                },
            },
            "source": {
                "type": "object",
                "additionalProperties": False,
                "required": ["cite", "where"],
                "properties": {"cite": _OPTIONAL_TEXT, "where": {"type": "string"}},
            },
            "measured": {"type": "string", "minLength": 10},
            "quantities": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": "^[a-z][a-z0-9_]*$"},
                "additionalProperties": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["unit", "text"],
                    "properties": {"unit": {"type": "string"}, "text": {"type": "string"}},
                },
            },
            "show": {"type": "array", "minItems": 1, "items": {"type": "string"}},
            "criterion": {
                "type": "object",
                "additionalProperties": False,
                "required": ["text", "reproduced"],
                "properties": {
                    key: {"type": "string", "minLength": 3}
                    for key in ("text", "reproduced", "partly", "not_at_this_scale")
                },
            },
            "pending": {"type": "string", "minLength": 10},
            "registered": {"type": "string", "format": "date"},
            "hash": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
            "history": {
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["date", "hash", "reason"],
                    "properties": {
                        "date": {"type": "string"},
                        "hash": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
                        "reason": {"type": "string", "minLength": 10},
                    },
                },
            },
        },
    },
}


@dataclass(frozen=True)
class Claim:
    """One registered claim; fields as in ``data/claims.yml``.

    `quantities` maps each name the criterion may use to its unit and meaning; the first is shown in the ledger.
    `show` names the quantities that stand beside the verdict (the first quantity where it is empty).
    `history` lists earlier hashes of the criterion, oldest first, each with the date and reason of its end.
    """

    id: str
    system: int | None
    chapter: str
    claim: str
    published: dict
    source: dict
    measured: str
    quantities: dict[str, dict]
    criterion: dict[str, str]
    registered: str
    hash: str
    pending: str | None = None
    show: tuple[str, ...] = ()
    history: tuple[dict, ...] = field(default=())

    @property
    def headline(self) -> str:
        """Name of the quantity that stands for the claim in the ledger."""
        return next(iter(self.quantities))


def criterion_hash(criterion: dict[str, str]) -> str:
    """First 16 hexadecimal digits of the SHA-256 of a criterion: its words and its expressions."""
    words = {key: " ".join(value.split()) for key, value in criterion.items()}
    return hashlib.sha256(json.dumps(words, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]


def load_claims(path: str | Path | None = None) -> list[Claim]:
    """All registered claims, checked.

    Raises
    ------
    InputError : the file breaks its schema, an id stands twice, an expression uses a name that is not a quantity
        of its claim, or a criterion differs from its hash (a changed criterion needs a new hash, and the old one
        an entry in `history` with the reason).
    """
    import jsonschema

    from densing.book.verdicts import check_expression

    path = Path(path) if path else repository_root() / "data" / "claims.yml"
    entries = yaml.load(path.read_text(encoding="utf-8"), Loader=_loader())
    entries = _dates_as_text(entries or [])
    error = next(iter(jsonschema.Draft202012Validator(_SCHEMA).iter_errors(entries)), None)
    if error is not None:
        place = entries[error.path[0]].get("id", error.path[0]) if error.path else "the list"
        raise InputError(f"{path.name}: {place}: {'.'.join(map(str, list(error.path)[1:]))} {error.message}")
    claims, seen = [], set()
    for entry in entries:
        lists = {key: tuple(entry.get(key, ())) for key in ("history", "show")}
        claim = Claim(**{**entry, **lists})
        if claim.id in seen:
            raise InputError(f"{path.name}: {claim.id} stands twice")
        seen.add(claim.id)
        for name in claim.show:
            if name not in claim.quantities:
                raise InputError(
                    f"{path.name}: {claim.id}: show: {name!r} is not one of {', '.join(claim.quantities)}"
                )
        expected = criterion_hash(claim.criterion)
        if claim.hash != expected:
            raise InputError(
                f"{path.name}: {claim.id}: hash = {claim.hash!r}, the criterion's is {expected!r}; a changed criterion "
                "needs the new hash, and a history entry with the old one, the date and the reason"
            )
        for kind, expression in claim.criterion.items():
            if kind != "text":
                check_expression(f"{path.name}: {claim.id}: {kind}", expression, claim.quantities)
        claims.append(claim)
    return claims


def _loader() -> type:
    # the C loader answers ten times sooner where libyaml is present
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _dates_as_text(value: object) -> object:
    if isinstance(value, dict):
        return {key: _dates_as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_dates_as_text(item) for item in value]
    if isinstance(value, datetime.date):
        return value.isoformat()
    return " ".join(value.split()) if isinstance(value, str) else value
