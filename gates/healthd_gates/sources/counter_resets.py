"""Raw counters → exact increases: the counts of a process between two evaluations, through restarts and late samples.

The counters come from each source. Nothing is extrapolated here: an increase is the difference of two values that were
read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from healthd_gates.sources.counters import Counter, Family, Snapshot
from healthd_gates.sources.increase import Increase

_FASTER, _FEW = 5.0, 50.0  # times its fastest, and requests, beyond which a process cannot have counted so much
_LIFETIME = 1000.0  # the same, if the speed at which it counts is not known
_SAME_START = 1.0  # seconds by which the start time that one process states may differ from scrape to scrape
_HALF = 0.5  # share of its value below which a fallen counter surely restarted, and is not of another worker
_TOGETHER = (Family.BUCKET, Family.SUM)


def follow(before: Snapshot | None, seen: Iterable[Snapshot], into: Increase) -> Snapshot | None:
    """Add the counts of one process since `before` to `into`; return its last snapshot, to go on from.

    `seen` is in order of time; snapshots not later than `before` are left out. With no `before` counting starts at the
    first snapshot. A counter that is new in a process that was known began at 0.
    """
    for snapshot in seen:
        if before is None:
            before = snapshot
        elif snapshot.at > before.at:
            before = _step(before, snapshot, into)
    return before


def _step(before: Snapshot, now: Snapshot, into: Increase) -> Snapshot:
    fallen = {counter for counter, value in now.values.items() if value < before.values.get(counter, 0.0)}
    stated = _is_stated_anew(before, now)
    views = set() if stated else {counter for counter in fallen if _is_another_view(counter, before, now)}
    if views and _holds_most(views, before, now):
        into.doubtful += 1
        return replace(before, at=now.at)
    fallen -= views
    restarted = stated or _restarted(before, now, fallen)
    renamed = set() if restarted else _renamed(before, now)
    # The buckets of a histogram restart together, also those that have already exceeded their former value.
    anew = {counter.series for counter in fallen if counter.family in _TOGETHER}
    amounts, kept = {}, {} if restarted else dict(before.values)
    for counter, value in now.values.items():
        if counter in renamed or counter in views:
            amounts[counter] = 0.0
        elif restarted or counter in fallen or (counter.series in anew and counter.family in _TOGETHER):
            amounts[counter] = value
        else:
            amounts[counter] = value - before.values.get(counter, 0.0)
        if counter not in views:
            kept[counter] = value
    into.add(amounts, 1 if restarted else len({(counter.family, counter.series) for counter in fallen}))
    into.doubtful += len({(counter.family, counter.series) for counter in views | renamed})
    counted = sum(amount for counter, amount in amounts.items() if counter.family is Family.REQUESTS)
    pace = before.pace if restarted else max(before.pace, counted / (now.at - before.at))
    # Without a request of its own it may be a process of the other version, which took its place at the address.
    refused = before.refused and not _has_requests(now)
    was_away = before.refused and not refused and _has_requests(before) and not _states_its_start(before, now)
    died = was_away or (restarted and _surely_began_anew(before, now, fallen))
    into.restarts += died
    into.repeated += died and before.restarts > 0
    started = before.started if now.started is None else now.started
    return Snapshot(now.at, kept, started, pace, before.restarts + died, before.born, refused)


def _is_stated_anew(before: Snapshot, now: Snapshot) -> bool:
    """True if the process itself reports that it has restarted."""
    return now.started is not None and before.started is not None and now.started > before.started + _SAME_START


def _has_requests(snapshot: Snapshot) -> bool:
    return any(counter.family is Family.REQUESTS for counter in snapshot.values)


def _states_its_start(before: Snapshot, now: Snapshot) -> bool:
    """True if the process itself reports whether it has restarted. One that does not, and has left its address in
    between, began anew, however much it has counted since: of a short life that may be as much as in the one before."""
    return before.started is not None and now.started is not None


def _surely_began_anew(before: Snapshot, now: Snapshot, fallen: set[Counter]) -> bool:
    """True if a process restarted since the previous evaluation. Several workers behind one address look similar, yet
    each of them has been there for longer, and has counted about as much as the others.
    """
    if now.started is not None and now.started > before.at - _SAME_START:
        return True
    was = sum(before.values.get(counter, 0.0) for counter in fallen)
    return sum(now.values[counter] for counter in fallen) < _HALF * was


def _is_another_view(counter: Counter, before: Snapshot, now: Snapshot) -> bool:
    """True if a fall is no restart: the remaining value is more than a process can have counted since.

    Lagging replicas of a server, a reload of its configuration and several workers behind one address look so.
    """
    value = now.values[counter]
    return value >= before.values[counter] / 2 and _is_a_life(value, before, now)


def _is_a_life(value: float, before: Snapshot, now: Snapshot) -> bool:
    """True if so much is more than the process can have counted since, at the fastest rate ever seen."""
    if not before.pace:
        return value > _LIFETIME
    return value > _FASTER * before.pace * (now.at - before.at) + _FEW


def _renamed(before: Snapshot, now: Snapshot) -> set[Counter]:
    """Return the counters that are new while others of their family vanished that had about as much: the labels have
    changed, and their whole value is not what was counted since.
    """
    found: set[Counter] = set()
    for family in Family:
        new = {c: v for c, v in now.values.items() if c.family is family and c not in before.values}
        gone = sum(v for c, v in before.values.items() if c.family is family and c not in now.values)
        seen = sum(new.values())
        if gone > 0 and gone <= seen <= 2 * gone and _is_a_life(seen, before, now):
            found |= new.keys()
    return found


def _restarted(before: Snapshot, now: Snapshot, fallen: set[Counter]) -> bool:
    """True if all counters restarted, also those that have already exceeded their former value.

    Counters fell that held more than half of all that the process had counted. A single small one may have been dropped
    and created again while the process went on.
    """
    return _holds_most(fallen, before, now)


def _holds_most(some: set[Counter], before: Snapshot, now: Snapshot) -> bool:
    """True if these are more than half of all that the process had counted."""
    known = sum(before.values.get(counter, 0.0) for counter in now.values)
    return sum(before.values[counter] for counter in some) > known / 2
