"""One run from claim to row file."""

from typing import Any

from densing.lab.recording.measuring import measured_record
from densing.lab.recording.row_files import claimed, read_record, write_record
from densing.lab.runs import RunSpec


def recorded_run(spec: RunSpec, threads: int, *, wait: bool) -> dict[str, Any] | None:
    """Run one configuration here, write its row file and return the record; only the record if it is written already.

    Parameters
    ----------
    wait : while another process works on the same run; otherwise the answer is None then.
    """
    with claimed(spec, wait=wait) as mine:
        if not mine:
            return None
        record = read_record(spec)
        if record is None:
            record = measured_record(spec, threads)
            write_record(spec, record)
        return record
