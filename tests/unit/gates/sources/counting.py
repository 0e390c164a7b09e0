"""Counters of a process, and what they say after some snapshots."""

from healthd_gates.sources.counter_resets import follow
from healthd_gates.sources.counters import Counter, Family, Snapshot
from healthd_gates.sources.increase import Increase


def requests(status: str = "200") -> Counter:
    return Counter.of(Family.REQUESTS, {"status": status})


def bucket(edge: str, path: str = "/") -> Counter:
    return Counter.of(Family.BUCKET, {"path": path, "le": edge})


def followed(*snapshots: Snapshot, before: Snapshot | None = None) -> Increase:
    increase = Increase()
    follow(before, snapshots, increase)
    return increase


OK, BAD, MISSING = requests("200"), requests("500"), requests("404")
