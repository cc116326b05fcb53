"""What a chapter measured: one JSON file a chapter, with no place for a verdict."""

import json
import math
import numbers
import os
import tempfile
from pathlib import Path

from densing.errors import InputError

_NUMBER = {"type": ["number", "boolean", "null"]}
_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["chapter", "scale", "parameters", "measurements"],
    "properties": {
        "chapter": {"type": "string"},
        "scale": {"enum": ["quick", "book", "full"]},
        "parameters": {"type": "object"},
        "seconds": {"type": "number", "minimum": 0},
        "measurements": {
            "type": "object",
            "propertyNames": {"pattern": "^[a-z0-9-]+/[a-z0-9-]+$"},
            "additionalProperties": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": "^[a-z][a-z0-9_]*$"},
                "additionalProperties": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["value"],
                    "properties": {"value": _NUMBER, "lower": _NUMBER, "upper": _NUMBER, "level": _NUMBER},
                },
            },
        },
        "recorded": {"type": "array", "items": {"type": "string"}},
    },
}


def measured_number(name: str, value: object) -> dict[str, float | bool | None]:
    """`value` as it stands in a results file.

    Parameters
    ----------
    value : a number, a truth value, or an object with ``value``, ``lower``, ``upper`` and ``level``
        (`densing.fitters.Estimate`). nan and infinity become null: a criterion that needs them does not hold.

    Raises
    ------
    InputError : anything else, or an interval that does not hold its value.
    """
    keys = ("value", "lower", "upper", "level")
    if all(hasattr(value, key) for key in keys):
        fields = {key: _plain(f"{name}.{key}", getattr(value, key)) for key in keys}
        low, high = fields["lower"], fields["upper"]
        if low is not None and high is not None and low > high:
            raise InputError(f"{name} = {value!r}: lower must not be above upper")
        return fields
    return {"value": _plain(name, value)}


def load_results(path: str | Path) -> dict:
    """The results file at `path`, checked against its schema (`InputError` otherwise)."""
    import jsonschema

    path = Path(path)
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise InputError(f"{path.name}: is not JSON ({error})") from None
    error = next(iter(jsonschema.Draft202012Validator(_SCHEMA).iter_errors(results)), None)
    if error is not None:
        raise InputError(f"{path.name}: {'.'.join(map(str, error.path))}: {error.message}")
    return results


def write_results(path: str | Path, results: dict) -> None:
    """Write a results file whole or not at all."""
    write_atomically(path, json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_atomically(path: str | Path, text: str) -> None:
    """Write `text` to `path` so that a reader, or a kill, sees the old file or the new one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _plain(name: str, value: object) -> float | bool | None:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool):
        return value
    if not isinstance(value, numbers.Real):
        raise InputError(f"{name} = {value!r}: must be a number, a truth value or an Estimate")
    if not math.isfinite(value):
        return None
    if isinstance(value, int):
        return value
    # ten digits: more would tell machines apart, not results
    return float(f"{value:.10g}")
