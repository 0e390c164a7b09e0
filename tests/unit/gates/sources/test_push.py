"""Pushed counts become evidence once each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

import pytest
from pydantic import ValidationError

from healthd.model import FailureKind
from healthd_gates.domain.request import PushedEvidence
from healthd_gates.sources.contract import Arm, SourceUnavailable
from tests.fakes.sources import Desk, HandClock, desk

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Letters:
    """The ledger's pushes of one gate, in memory."""

    def __init__(self) -> None:
        self._pushes: list[PushedEvidence] = []
        self.broken = False

    def post(self, **body: Any) -> None:
        """As the API accepts it."""
        self._pushes.append(PushedEvidence.model_validate({"id": f"p{len(self._pushes)}", **body}))

    async def after(self, position: int) -> Sequence[tuple[int, PushedEvidence]]:
        if self.broken:
            raise ConnectionRefusedError("postgresql://u:hush-hush@db is away")
        return list(enumerate(self._pushes, start=1))[position:]


def box(letters: Letters, by: str | None = None, latency_by: str | None = None) -> Desk:
    return desk({"kind": "push"}, HandClock(NOON), baseline=Arm("1"), pushes=letters, by=by, latency_by=latency_by)


def counts(requests: float, errors: float, *buckets: float) -> dict[str, Any]:
    latency = {"edges": [0.1, 1], "counts": buckets, "sum_seconds": 1.5}
    return {"requests": requests, "errors": errors} | ({"latency": latency} if buckets else {})


def seen(gate: Desk, arm: str = "candidate") -> tuple[float, float] | None:
    total = gate.total(arm)
    return None if total is None else (total.requests, total.errors)


async def test_increases_add_up_and_count_once() -> None:
    """Those before the first look too: they were posted to this gate."""
    letters = Letters()
    gate = box(letters)
    letters.post(candidate=counts(10, 1, 7, 2, 1), baseline=counts(5, 0))
    await gate.look()
    letters.post(candidate=counts(20, 0, 20, 0, 0))
    await gate.look(after=5)
    await gate.look(after=5)
    assert (seen(gate), seen(gate, "baseline")) == ((30, 1), (5, 0))
    total = gate.total()
    assert total is not None
    latency = total.latency
    assert latency is not None
    assert (latency.edges, latency.counts, latency.sum_seconds) == ((0.1, 1, inf), (27, 2, 1), 3.0)


async def test_a_push_without_requests_is_no_traffic_and_none_is_no_telemetry() -> None:
    """Between pushes nothing is known yet; after half a minute something is wrong with the sender."""
    letters = Letters()
    gate = box(letters)
    await gate.look()
    letters.post(candidate=counts(0, 0), baseline=counts(0, 0))
    await gate.look(after=5)
    assert seen(gate) == (0, 0)
    assert (await gate.seen(after=20)).candidate is None
    with pytest.raises(SourceUnavailable, match="nothing was pushed for 35s") as silence:
        await gate.look(after=15)
    assert silence.value.kind is FailureKind.TIMEOUT


async def test_one_arm_may_fall_silent_alone() -> None:
    """The other goes on, and people are told."""
    letters = Letters()
    gate = box(letters)
    await gate.look()
    letters.post(baseline=counts(3, 0))
    look = await gate.look(after=31)
    assert (seen(gate), seen(gate, "baseline")) == (None, (3, 0))
    assert look.notes == ("candidate: nothing was pushed for 31s",)


async def test_totals_are_followed_by_sender_through_restarts() -> None:
    """The first ones are where counting starts; one that was overtaken on the way is no restart."""
    letters = Letters()
    gate = box(letters)
    await gate.look()

    def total(sender: str, second: int, *numbers: float) -> None:
        at = (NOON + timedelta(seconds=second)).isoformat()
        letters.post(sender=sender, totals=True, at=at, candidate=counts(*numbers))

    total("lb-1", 0, 1000, 10)
    total("lb-2", 0, 500, 0)
    await gate.look(after=1)
    assert seen(gate) is None
    total("lb-1", 10, 1020, 12)
    total("lb-1", 5, 1010, 11)
    total("lb-2", 10, 501, 0)
    await gate.look(after=10)
    assert seen(gate) == (21, 2)
    total("lb-1", 20, 7, 1)
    await gate.look(after=10)
    assert seen(gate) == (28, 3)
    assert gate.resets == 1


async def test_a_journal_that_is_away_is_no_telemetry() -> None:
    """And its address is not shown."""
    letters = Letters()
    gate = box(letters)
    await gate.look()
    letters.broken = True
    with pytest.raises(SourceUnavailable) as failure:
        await gate.look()
    assert failure.value.kind is FailureKind.CONNECT
    assert "hush" not in str(failure.value)


@pytest.mark.parametrize("body", [{}, {"candidate": counts(1, 2)}, {"candidate": counts(1, 0), "totals": True}])
def test_a_push_that_makes_no_sense_is_refused(body: dict[str, Any]) -> None:
    """No arm, more errors than requests, totals without the time when they were read."""
    with pytest.raises(ValidationError):
        Letters().post(**body)


def split(requests: float, errors: float, **routes: tuple[float, float]) -> dict[str, Any]:
    parts = {f"/{name}": {"requests": r, "errors": e} for name, (r, e) in routes.items()}
    return {**counts(requests, errors), "by": {"route": parts, "method": {"GET": {"requests": 1, "errors": 0}}}}


def strata(gate: Desk) -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {}
    for look in gate.looks:
        candidate = look.evidence.candidate if look.evidence else None
        for name, (requests, errors) in candidate.strata.items() if candidate else ():
            before = found.get(name, (0.0, 0.0))
            found[name] = (before[0] + requests, before[1] + errors)
    return found


async def test_requests_are_split_by_the_label_that_is_asked_for() -> None:
    """What no value of it has is one more; without a criterion that asks, and of other labels, nothing is split."""
    letters = Letters()
    gate, other = box(letters, by="route"), box(letters)
    await gate.look()
    await other.look()
    letters.post(candidate=split(100, 4, a=(60, 1), b=(30, 3)))
    letters.post(candidate=split(10, 1, b=(10, 1)))
    letters.post(candidate=counts(5, 0))
    await gate.look(after=5)
    await other.look(after=5)
    assert strata(gate) == {"/a": (60, 1), "/b": (40, 4), "other": (15, 0)}
    assert (strata(other), seen(gate), seen(other)) == ({}, (115, 5), (115, 5))


async def test_totals_by_route_are_followed_like_those_of_all() -> None:
    """A route that appears counts from zero, one that is left out for once stands still, and a restart is one."""
    letters = Letters()
    gate = box(letters, by="route")
    await gate.look()
    rows = [
        split(1000, 10, a=(900, 10)),
        split(1100, 12, a=(950, 11), b=(50, 1)),
        split(1130, 12, b=(60, 1)),
        split(1230, 12, a=(1050, 11), b=(60, 1)),
        split(20, 2, a=(15, 2), b=(5, 0)),
    ]
    for number, row in enumerate(rows):
        at = NOON + timedelta(seconds=10 * number)
        letters.post(candidate=row, totals=True, at=at.isoformat(), sender="lb")
        await gate.look(after=10)
    assert seen(gate) == (250, 4)
    assert strata(gate) == {"/a": (165, 3), "/b": (65, 1), "other": (20, 0)}


def slow(all_: tuple[float, float, float], **routes: tuple[float, float, float]) -> dict[str, Any]:
    """Counts whose latencies, in the buckets of `counts`, are split by route too."""
    parts = {f"/{name} {{id}}": counts(sum(buckets), 0, *buckets) for name, buckets in routes.items()}
    return {**counts(sum(all_), 0, *all_), "by": {"route": parts}}


def latencies(look: Any) -> dict[str, tuple[float, ...]]:
    return {name: latency.counts for name, latency in look.evidence.candidate.strata_latency.items()}


async def test_latencies_are_split_where_a_criterion_asks() -> None:
    """In the buckets of each push by itself; what no value has is one more."""
    letters = Letters()
    gate, errors = box(letters, by="route", latency_by="route"), box(letters, by="route")
    await gate.look()
    await errors.look()
    letters.post(candidate=slow((90, 8, 2), a=(50, 0, 0), b=(30, 8, 2)))
    letters.post(candidate=slow((10, 0, 5), b=(0, 0, 5)))
    look, other = await gate.look(after=5), await errors.look(after=5)
    assert latencies(look) == {"/a {id}": (50, 0, 0), "/b {id}": (30, 8, 7), "other": (20, 0, 0)}
    assert latencies(other) == {}
    letters.post(candidate={**slow((9, 0, 0), a=(9, 0, 0))})
    letters.post(candidate=_with_edges(slow((0, 7, 0), a=(0, 7, 0)), 0.1, 0.5))
    assert latencies(await gate.look(after=5)) == {"/a {id}": (9, 7)}, "the edges that both have"


def _with_edges(body: dict[str, Any], *edges: float) -> dict[str, Any]:
    parts = {name: _with_edges(part, *edges) for name, part in body.get("by", {}).get("route", {}).items()}
    return {**body, "latency": {**body["latency"], "edges": edges}} | ({"by": {"route": parts}} if parts else {})


async def test_totals_of_latency_by_route_are_followed_each_by_itself() -> None:
    """A route that begins anew takes no other route's buckets for new."""
    letters = Letters()
    gate = box(letters, by="route", latency_by="route")
    await gate.look()
    rows = [
        slow((1000, 100, 10), a=(900, 0, 0), b=(100, 100, 10)),
        slow((1010, 104, 10), a=(905, 0, 0), b=(105, 104, 10), c=(0, 0, 0)),
        slow((1110, 104, 11), a=(1000, 0, 0), b=(3, 0, 1)),
    ]
    looks = []
    for number, row in enumerate(rows):
        at = NOON + timedelta(seconds=10 * number)
        letters.post(candidate=row, totals=True, at=at.isoformat(), sender="lb")
        looks.append(await gate.look(after=10))
    assert latencies(looks[1]) == {"/a {id}": (5, 0, 0), "/b {id}": (5, 4, 0)}
    assert latencies(looks[2]) == {"/a {id}": (95, 0, 0), "/b {id}": (3, 0, 1), "other": (2, 0, 0)}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (_with_edges(slow((9, 0, 0), a=(9, 0, 0)), 0.1, 0.5) | {"latency": None}, "in other edges than all"),
        (slow((9, 0, 0), a=(9, 0, 0)) | {"latency": {"edges": [1], "counts": [9, 0]}}, "in other edges than all"),
        (slow((9, 0, 0), a=(8, 0, 0), b=(0, 1, 0)), r"by\.route adds up to 1 latencies in bucket 1, of 0"),
        (split(10, 1, a=(6, 0), b=(5, 0)), r"by\.route adds up to 11 requests and 0 errors, of 10 and 1"),
        (split(10, 1, a=(6, 7)), "errors are counted among requests"),
        ({**counts(9, 0), "by": {"a route": {}}}, r"candidate\.by\.a route"),
        (split(300, 0, **{f"r{n}": (1, 0) for n in range(201)}), "201 values: send the 200 with the most requests"),
    ],
)
def test_parts_that_cannot_be_are_refused(body: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Letters().post(candidate=body)
