"""Reading a CSV file that a reader brings, refusing in one line what cannot be a table of numbers."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from densing.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS = 2_000_000
MAX_BYTES = 500_000_000
_MAX_HEADER = 1_000_000  # bytes of the first line
_BLOCK = 1 << 22
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def read_csv_file(path: str | Path, columns: Iterable[str], optional: Iterable[str] = ()) -> "pd.DataFrame":
    """The named columns of a comma-separated UTF-8 file with a header, indexed by line number.

    Size, encoding and header are checked before anything is parsed; only the named columns are kept. A column is
    numeric where it holds nothing but numbers, else text. Blank lines are skipped.

    Parameters
    ----------
    columns : names that must be there. optional : names that are read too where they are.

    Raises
    ------
    InputError : no such file, one that is empty, binary, larger than 500 MB or longer than two million rows; a header
        that repeats a name, lacks a column or uses another separator; a row with more or fewer fields than the header.
    """
    import pandas as pd

    path, columns = Path(path), list(dict.fromkeys(columns))
    header = _check_file(path)
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise InputError(f"{path}: the header repeats {', '.join(map(repr, repeated))}")
    missing = [name for name in columns if name not in header]
    if missing:
        raise InputError(f"{path}: {_why_missing(header, missing)}")
    columns += [name for name in optional if name in header and name not in columns]
    lines, fields = _read_fields(path, [header.index(name) for name in columns], len(header))
    if not lines:
        raise InputError(f"{path}: has a header and no rows")
    frame = pd.DataFrame(index=pd.Index(lines, name="line"))
    for name, values in zip(columns, fields, strict=True):
        text = pd.Series(values, index=frame.index, dtype=object)
        try:
            frame[name] = pd.to_numeric(text.replace("", None))
        except ValueError:
            frame[name] = text
    return frame


def _read_fields(path: Path, places: list[int], width: int) -> tuple[list[int], list[list[str]]]:
    """Line numbers of the rows, and their fields at `places`."""
    lines: list[int] = []
    fields: list[list[str]] = [[] for _ in places]
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        try:
            next(rows)
            for row in rows:
                if not row:
                    continue
                if len(row) != width:
                    raise InputError(
                        f"{path}, line {rows.line_num}: has {len(row)} fields, the header {width}"
                    )
                lines.append(rows.line_num)
                for kept, place in zip(fields, places, strict=True):
                    kept.append(row[place].strip())
        except UnicodeDecodeError:
            raise InputError(f"{path}: is not UTF-8 text throughout; save it as UTF-8") from None
        except csv.Error as error:
            raise InputError(f"{path}, line {rows.line_num}: cannot be read ({_one_line(error)})") from None
    return lines, fields


def _check_file(path: Path) -> list[str]:
    """The names in the header, once the file has passed every check that needs no parsing."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise InputError(f"{path}: is not a file")
        if size > MAX_BYTES:
            raise InputError(f"{path}: has {size / 1e6:,.0f} MB, at most {MAX_BYTES / 1e6:,.0f} MB are read")
        with open(path, "rb") as file:
            start = file.read(_MAX_HEADER)
            if not start.strip():
                raise InputError(f"{path}: is empty")
            if b"\0" in start:
                raise InputError(f"{path}: is a binary file, not comma-separated text")
            lines = start.count(b"\n")
            while block := file.read(_BLOCK):
                lines += block.count(b"\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    if lines > MAX_ROWS + 1:
        raise InputError(f"{path}: has {lines - 1:,} rows, at most {MAX_ROWS:,} are read")
    first, found, _ = start.partition(b"\n")
    if not found and size > len(start):
        raise InputError(f"{path}: its first line is longer than {_MAX_HEADER:,} bytes, so it is no header")
    try:
        text = first.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 text (binary, or another encoding)") from None
    try:
        return [name.strip() for name in next(csv.reader(io.StringIO(text)), [])]
    except csv.Error as error:
        raise InputError(f"{path}: its header cannot be read ({_one_line(error)})") from None


def _why_missing(header: list[str], missing: list[str]) -> str:
    if len(header) == 1:
        for separator, name in _OTHER_SEPARATORS.items():
            if separator in header[0]:
                return f"is separated by {name}; save it with commas"
    shown = ", ".join(map(repr, header[:20])) + (", ..." if len(header) > 20 else "")
    return f"no column {', '.join(map(repr, missing))}; it has {shown}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
