"""The sentences for people that go with the counts of a log."""

from __future__ import annotations

from collections import Counter as Tallied
from collections.abc import Collection, Mapping, Sequence

from healthd_gates.sources.access_log.config import AccessLogConfig
from healthd_gates.sources.access_log.file_reader import Answer
from healthd_gates.sources.access_log.tally import CLIENT_CLOSED, OTHER, Tally

_SHOWN = 5
_LOST_OF_FILE = "the log was rotated, and a part that was not read is gone: lines are missing"
_LOST_OF_S3 = "an object of the log is broken, or was removed before it was read: lines are missing"
_LOST_OF_SYSLOG = "messages came while healthd did not listen, or faster than they were read: lines are missing"


def notes_of(
    answer: Answer, values: Mapping[str, Collection[str] | None], config: AccessLogConfig, unknown: Sequence[str]
) -> tuple[str, ...]:
    """Return the notes on one evaluation. `values` are those by which the lines of each arm are known, and `unknown`
    the names that cannot be resolved."""
    tally, notes = answer.tally, list[str]()
    if tally.misfits:
        notes.append(f"{tally.misfits} of {tally.lines} lines do not fit the format, and are not counted")
    if answer.lost:
        by_s3 = _LOST_OF_S3 if config.s3 is not None else _LOST_OF_SYSLOG
        notes.append(_LOST_OF_FILE if config.file is not None else by_s3)
    if answer.more:
        notes.append("more was written than is read at once: the rest follows")
    if unknown:
        notes.append(f"{', '.join(unknown)} cannot be resolved")
    if closed := _closed(tally, values) if config.client_closed == "ignored" else 0:
        notes.append(f"{closed} requests whose client went away (499) are not counted: `client_closed` counts them")
    if values.get("candidate") is not None:
        others = _others(tally, values)
        shown = ", ".join(f"{key} ({count})" for key, count in others.most_common(_SHOWN))
        if shown:
            notes.append(f"requests of neither version, by {config.key}: {shown}")
    return tuple(notes)


def _closed(tally: Tally, values: Mapping[str, Collection[str] | None]) -> int:
    arms = values.values()
    return sum(
        cell.requests
        for (key, status), cell in tally.cells.items()
        if status == CLIENT_CLOSED and any(own is None or key in own for own in arms)
    )


def _others(tally: Tally, values: Mapping[str, Collection[str] | None]) -> Tallied[str]:
    found: Tallied[str] = Tallied()
    known = {value for own in values.values() for value in own or ()}
    for (key, _), cell in tally.cells.items():
        if key not in known:
            found["others" if key == OTHER else key[:60]] += cell.requests
    return found
