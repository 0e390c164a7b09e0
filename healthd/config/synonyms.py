"""Words that other tools have for an option of ours: what is meant by them has no letter in common."""

from __future__ import annotations

from collections.abc import Collection

_MEANT: dict[str, tuple[str, ...]] = {
    "address": ("uri", "url", "host"),
    "bake": ("observe",),
    "bake_time": ("observe",),
    "channel": ("to", "notifiers"),
    "channels": ("to", "notifiers"),
    "conn": ("uri", "connection"),
    "connection": ("uri",),
    "connection_string": ("uri", "dsn"),
    "connection_uri": ("uri", "dsn"),
    "connection_url": ("uri", "dsn"),
    "database_url": ("uri", "dsn"),
    "dsn": ("uri", "url"),
    "duration": ("for", "observe"),
    "endpoint": ("url", "uri"),
    "every": ("interval", "period"),
    "failure_threshold": ("fall",),
    "failurethreshold": ("fall",),
    "failures_before_critical": ("fall",),
    "frequency": ("interval", "period"),
    "hostname": ("host",),
    "initialdelayseconds": ("initial_delay",),
    "max_failures": ("fall",),
    "period": ("interval",),
    "periodseconds": ("interval",),
    "poll_interval": ("interval",),
    "receiver": ("to",),
    "receivers": ("to",),
    "retries": ("fall",),
    "schedule": ("cron",),
    "settle": ("initial_delay",),
    "settle_time": ("initial_delay",),
    "settling": ("initial_delay",),
    "stabilization": ("initial_delay",),
    "success_before_passing": ("rise",),
    "success_threshold": ("rise",),
    "successthreshold": ("rise",),
    "tags": ("labels",),
    "time_zone": ("timezone",),
    "timeoutseconds": ("timeout",),
    "tz": ("timezone",),
    "uri": ("url",),
    "url": ("uri",),
    "warm_up": ("initial_delay", "startup"),
    "warmup": ("initial_delay", "startup"),
    "webhook": ("url",),
    "webhook_url": ("url",),
}


def meant_by(word: str, known: Collection[str]) -> str | None:
    """Return the option of those known that is called so elsewhere; upper and lower case, and `-` for `_`, make no
    difference. None where none is."""
    names = _MEANT.get(word.lower().replace("-", "_"), ())
    if "cron" in known and "period" in names:  # how often a job reports, not how often it is looked whether it did
        return "period"
    return next((it for it in names if it in known), None)
