"""The keys of an Application Load Balancer's objects, as AWS documents them:

`PREFIX/AWSLogs/ACCOUNT/elasticloadbalancing/REGION/yyyy/mm/dd/ACCOUNT_elasticloadbalancing_REGION_app.NAME.ID_END_IP_RANDOM.log.gz`

END is when the five minutes of the object ended, in UTC and whole minutes; the day is that of its delivery. Within a
day, the keys of one load balancer are in the order of their ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from healthd_gates.sources.access_log.s3_options import S3Log

INTERVAL = 300.0
"""Seconds of one object."""
_STAMP = "%Y%m%dT%H%MZ"
_NAME = re.compile(r"(\d{8}T\d{4}Z)_[^/\s]+")
_SUFFIX = ".log.gz"


@dataclass(frozen=True, slots=True)
class LogObject:
    """An object. `name` is its end, its node and the random part; `ended` is in seconds since 1970."""

    name: str
    key: str
    ended: float
    size: int


def stamp(at: float) -> str:
    """Return the text of an end, which names of that minute and later are not below."""
    return datetime.fromtimestamp(at, UTC).strftime(_STAMP)


def beginnings(options: S3Log, since: float, now: float) -> Iterator[str]:
    """Return the beginning of the keys of each day on which objects may have been delivered that ended from `since` on,
    up to where their end stands."""
    day, last = (datetime.fromtimestamp(at, UTC).date() for at in (since, now))
    name = f"{options.account}_elasticloadbalancing_{options.balancer_region}_{options.resource}_"
    while day <= last:
        yield f"{options.folder}{day:%Y/%m/%d}/{name}"
        day += timedelta(days=1)


def object_of(key: str, size: int, beginning: str) -> LogObject | None:
    """Return what a key names; None if it is no part of the log, such as the file that AWS tests a bucket with."""
    name = key.removeprefix(beginning).removesuffix(_SUFFIX)
    found = _NAME.fullmatch(name)
    if found is None or not key.endswith(_SUFFIX):
        return None
    try:
        ended = datetime.strptime(found[1], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
    return LogObject(name, key, ended.timestamp(), size)
