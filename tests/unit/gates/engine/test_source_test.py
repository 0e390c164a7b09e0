"""What `healthd source test` finds: refused, missing, doubtful, and whether a gate could be judged by it."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from healthd.model import FailureKind
from healthd_gates.config.policy import Policy
from healthd_gates.domain.evidence import Counts, Histogram
from healthd_gates.domain.standing import Bound
from healthd_gates.engine.source_test import ArmSeen, SourceTested, try_source
from healthd_gates.sources.contract import Arm, ArmError, Arms, SourceContext, SourceUnavailable
from healthd_gates.sources.inspection import ArmInspection, Inspection
from tests.fakes.gates import Script, ScriptedConfig
from tests.fakes.monitoring import LoopClock
from tests.fakes.past import Remembering, RememberingConfig

BOTH = Arms("api", Arm("2"), Arm("1"))
INF = float("inf")


def counts(requests: float, errors: float = 0, *buckets: float, edges: tuple[float, ...] = (0.1, 1.0, INF)) -> Counts:
    return Counts(requests, errors, Histogram(edges, buckets, 1.0) if buckets else None)


async def read(config: Any = None, arms: Arms = BOTH, seconds: float = 10.0, **more: Any) -> SourceTested:
    edges = more.pop("edges", ())
    return await try_source(
        config or RememberingConfig(), arms, SourceContext(LoopClock(), str, edges), seconds, **more
    )


async def test_a_source_with_a_past_is_asked_for_its_last_minutes() -> None:
    """From the first request on: before it there was nothing to count."""
    begun = LoopClock().now() - timedelta(minutes=2)
    Remembering.past = lambda at: (counts(100 if at > begun else 0), counts(50))
    found = await read()
    assert found.able
    assert [*found.refused, *found.missing, *found.doubtful] == []
    [(start, end, step)] = Remembering.asked_past
    assert ((end - start).total_seconds(), step) == (300, 5)
    candidate, baseline = found.arms["candidate"], found.arms["baseline"]
    assert candidate.counts is not None
    assert candidate.seconds < baseline.seconds == 300
    assert candidate.per_minute(candidate.counts.requests) > 0
    assert baseline.per_minute(600) == 120
    assert Remembering.closed == 1


async def test_a_source_without_a_past_is_watched() -> None:
    """For as long as was asked, with what it says meanwhile."""
    Script.act = lambda _seconds: Counts(10, 1)
    found = await read(ScriptedConfig(), Arms("api", Arm("2")), seconds=5.0)
    assert found.arms["candidate"].counts is not None
    assert found.arms["candidate"].counts.requests == 10 * (Script.asked - 1)
    assert found.able


async def test_what_a_watched_source_complains_of_is_told_once() -> None:
    """However often, and whatever numbers are in it; but for what it is refused for anyway."""

    def down(seconds: float) -> Counts:
        raise SourceUnavailable(FailureKind.TIMEOUT, f"no answer within {seconds:g} s")

    Script.act = down
    found = await read(ScriptedConfig(), Arms("api", Arm("2")), seconds=5.0)
    assert len(found.doubtful) == 1
    assert "no answer within" in found.doubtful[0]
    assert not found.able


async def test_counts_that_are_known_at_once_are_taken() -> None:
    """And nothing is waited for."""
    known = ArmInspection(counts=counts(30), counted=60.0, edges=(0.1, INF))
    Remembering.state = lambda: Inspection({"candidate": known})
    found = await read()
    assert found.arms["candidate"] == ArmSeen(counts(30), 60.0, known)
    assert found.arms["baseline"].counts is None
    assert not Remembering.asked_past


async def test_what_makes_a_verdict_wrong_is_told() -> None:
    Remembering.past = lambda _at: (counts(1, 10), counts(100, 0, 0, 0, 100))
    found = await read(edges=(0.5,))
    assert [each.partition(":")[0] for each in found.missing] == [
        "the policy has a limit of latency, and no latencies are seen",
        "candidate",
    ]
    assert "more errors (600) than requests (60)" in found.missing[1]
    assert ["is the unit right" in each for each in found.doubtful] == [True]
    assert found.arms["baseline"].bounds[0.5] is Bound.ABOVE
    assert not found.able


async def test_versions_that_are_counted_together_cannot_be_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RememberingConfig, "tells_apart", lambda *_: False)
    assert "both versions are counted by the same numbers" in (await read()).missing[0]


async def test_buckets_that_hide_a_comparison_are_doubtful() -> None:
    Remembering.state = lambda: Inspection({"candidate": ArmInspection(edges=(5.0, INF))})
    compare = {"kind": "latency", "compare": {"to": "concurrent"}}
    criteria = Policy.model_validate({"criteria": [compare]}).criteria
    assert (await read(criteria=criteria)).doubtful


@pytest.mark.parametrize(("kind", "refused"), [(FailureKind.AUTH, True), (FailureKind.TIMEOUT, False)])
async def test_a_source_that_does_not_answer(kind: FailureKind, refused: bool) -> None:
    """Is refused where waiting does not cure it."""

    async def down() -> Inspection:
        raise SourceUnavailable(kind, "it said no")

    Remembering.state = down
    found = await read()
    assert (list(found.refused), list(found.missing)) == ((["it said no"], []) if refused else ([], ["it said no"]))
    assert found.arms == {}
    assert not found.able
    assert Remembering.closed == 1


async def test_a_source_that_hangs_is_missing() -> None:
    async def hang() -> Inspection:
        await asyncio.Event().wait()
        raise AssertionError

    Remembering.state = hang
    assert "no answer within 15 s" in (await read()).missing[0]


async def test_a_source_that_refuses_says_no_more() -> None:
    """Of all lines, so that what a look says of some of them is left out."""
    Remembering.state = lambda: Inspection({}, refused=("no series has the label status",))
    found = await read()
    assert (list(found.refused), found.able) == (["no series has the label status"], False)


async def test_a_source_of_series_alone_is_able_by_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RememberingConfig, "counts_requests", False)
    assert not (await read()).able
    Remembering.state = lambda: Inspection({"candidate": ArmInspection(numbers={"queue": 3.0})})
    assert (await read()).able


async def test_before_a_ramp_the_baseline_has_the_requests() -> None:
    """The gate itself gives the candidate its own."""
    Remembering.past = lambda _at: (None, counts(100))
    found = await read(ramps=True)
    assert (found.awaits_traffic, found.able) == (True, True)
    assert not (await read()).able


async def test_latencies_are_added_as_long_as_their_buckets_are_the_same() -> None:
    """Else the newer ones are shown; strata are added by name."""

    def seen(at: datetime) -> tuple[Counts | None, Counts | None]:
        early = counts(10, 0, 10, 0, 0) if at.minute % 2 else counts(10, 0, 10, 0, 0, edges=(0.2, 1.0, INF))
        return replace(early, strata={"/a" if at.second % 2 else "/b": (10.0, 1.0)}), None

    Remembering.past = seen
    candidate = (await read(arms=Arms("api", Arm("2")))).arms["candidate"]
    assert candidate.counts is not None
    assert candidate.counts.requests == 600
    assert candidate.counts.latency is not None
    assert candidate.counts.latency.total < 600
    assert sum(requests for requests, _ in candidate.counts.strata.values()) == 600
    assert candidate.quantiles[0.5] is not None


def test_an_arm_without_latencies_has_no_quantiles() -> None:
    assert (ArmSeen(None, 0.0).quantiles, ArmSeen(None, 0.0).bounds, ArmSeen(None, 0.0).per_minute(5)) == ({}, {}, 0.0)
    empty = ArmSeen(counts(0, 0, 0, 0, 0), 60.0)
    assert set(empty.quantiles.values()) == {None}


@pytest.mark.parametrize(
    ("limit", "buckets", "missing"),
    [
        ("3s", (0, 900, 100), True),
        ("3s", (1000, 0, 0), False),
        ("3s", (0, 0, 1000), False),
        ("1s", (0, 900, 100), False),
    ],
)
async def test_a_quantile_in_the_bucket_of_the_limit_could_not_be_judged(
    limit: str, buckets: tuple[float, ...], missing: bool
) -> None:
    """With the cure. In another bucket, or with an edge at the limit, it is."""
    Remembering.past = lambda _at: (counts(1000, 0, *buckets, edges=(1.0, 10.0, INF)), None)
    policy = Policy.model_validate({"criteria": [{"kind": "latency", "limit": limit, "quantile": 0.5}]})
    found = await read(edges=policy.criteria[0].latency_limits, criteria=policy.criteria)
    assert found.able is not missing
    assert ('put an edge at the limit where the histogram is written (le="3"' in " ".join(found.missing)) is missing


def test_a_route_has_the_quantiles_of_its_own_latencies() -> None:
    """With the bound where one is no estimate; a route without latencies, or without requests, has none."""
    edges = (0.1, 1.0, INF)
    of_routes = {"/slow": Histogram(edges, (0, 50, 50), 100.0), "/idle": Histogram(edges, (0, 0, 0), 0.0)}
    seen = ArmSeen(replace(counts(200, 0, 200, 0, 0), strata_latency=of_routes), 60.0)
    slow = seen.quantiles_of("/slow")
    assert slow[0.95] == (1.0, Bound.ABOVE)
    assert seen.quantiles[0.95] != slow[0.95][0]
    assert seen.quantiles_of("/idle") == seen.quantiles_of("/unknown") == {}
    assert ArmSeen(None, 0.0).quantiles_of("/slow") == {}


async def test_versions_that_a_source_cannot_read_at_all_are_refused_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before there is a reader to close."""

    def no_such_arm(*_: object) -> None:
        raise ArmError("baseline", "it needs a target")

    monkeypatch.setattr(Remembering, "__init__", no_such_arm)
    with pytest.raises(ArmError, match="it needs a target"):
        await read()
    assert Remembering.closed == 0
