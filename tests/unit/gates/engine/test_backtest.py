"""A policy over the past is judged as a gate is."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from healthd_gates.config.policy import Policy
from healthd_gates.config.service import Service
from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.criteria.latency import Latency
from healthd_gates.domain.evidence import Counts, Evidence, Histogram
from healthd_gates.domain.request import Version
from healthd_gates.domain.standing import Verdict
from healthd_gates.engine.backtest import Deploy, NotReplayable, replay, replayed_rules
from healthd_gates.engine.ramp_replay import Replayed
from healthd_gates.engine.spec import GateSpec
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules, Timing
from healthd_gates.sources.contract import SourceContext
from tests.fakes.gates import POLICY, config
from tests.fakes.monitoring import MIDNIGHT, LoopClock
from tests.fakes.past import Remembering

COMPARED = [{"kind": "error_rate", "limit": "5%", "compare": {"to": "concurrent"}}]
PROMETHEUS = {"kind": "prometheus", "url": "http://a", "requests": "x_total", "errors": "y_total", "lookback": "5m"}


def test_numbers_may_be_as_late_as_the_source_says() -> None:
    """Between two scrapes of a slow Prometheus nothing has fallen silent, and all the traffic is expected where the
    policy says so."""
    configured = config(service={"source": PROMETHEUS}, policy={"exposure": "all"})
    spec = GateSpec(configured.policies["quick"], configured.services["api"])
    rules, left_out = replayed_rules(spec)
    assert (rules.timing.lateness, rules.whole, left_out) == (300.0, True, ())


def test_between_two_scrapes_no_rate_is_made_up() -> None:
    """After settling, and before the first scrape since then, nobody knows how long a proof would take."""
    judge = Judge(Rules((ErrorRate(), Latency()), timing=Timing(5, 30, 60, 600)))
    scraped = Counts(30, 0, Histogram((0.1, 5.0, float("inf")), (30, 0, 0), 1.5))
    for look in range(1, 8):
        numbers = scraped if look in (3, 6) else None
        standing = judge.step(Evidence(MIDNIGHT + timedelta(seconds=5 * look), 5, numbers))
    assert [criterion.sentence for criterion in standing.criteria] == [
        "The error rate is open: 0 % (0 of 60 requests while settling); limit 5 %.",
        "The p95 latency is open: no latencies since it settled; limit 5 s.",
    ]


def deploy(baseline: str | None = None, service: dict[str, Any] | None = None, **policy: Any) -> Deploy:
    """A deploy an hour ago, under a policy that need not be the one of the service."""
    now, versions = LoopClock().now(), (Version(version="2"), Version(version=baseline) if baseline else None)
    served = Service.model_validate({"source": {"kind": "remembering"}, "policy": "quick", **(service or {})})
    under = Policy.model_validate(POLICY | policy)
    return Deploy("api", served, under, *versions, now - timedelta(hours=1), now)


async def replayed(deployed: Deploy) -> list[Replayed]:
    return [look async for look in replay(deployed, SourceContext(LoopClock(), str))]


async def test_a_policy_is_judged_by_the_past_of_its_source() -> None:
    """By three hours before the switch, and what came after it; the source is let go then."""
    looks = await replayed(deploy())
    assert looks[-1].standing.verdict is Verdict.PASS
    assert [look.standing.verdict for look in looks[:-1]] == [None] * (len(looks) - 1)
    (before, switched, _), (begin, _, step) = Remembering.asked_past
    assert (switched - before, begin, step) == (timedelta(hours=3), switched, 5.0)
    assert Remembering.closed == 1


async def test_a_past_that_ends_before_the_verdict_has_none() -> None:
    cut = deploy()
    looks = await replayed(replace(cut, until=cut.switched + timedelta(seconds=40)))
    assert [look.standing.verdict for look in looks] == [None] * 8


async def test_a_ramp_over_the_past_has_weights() -> None:
    Remembering.past = staticmethod(lambda _at: (Counts(1000, 0), Counts(1000, 0)))
    wide = deploy("1", criteria=COMPARED, ramp={})
    assert (await replayed(wide))[-1].weight == 1.0


@pytest.mark.parametrize(
    ("service", "policy", "why"),
    [
        ({"source": None}, {}, "service api has no source"),
        ({"source": {"kind": "scripted"}}, {}, "a source of kind scripted keeps no past"),
        ({}, {"criteria": [{"kind": "checks", "group": "ready"}]}, "checks and smoke requests have no past"),
        ({}, {"criteria": [{"kind": "error_rate", "source": "jobs"}]}, "source names 'jobs'"),
        ({}, {"ramp": {}, "criteria": COMPARED}, "name it by --baseline"),
    ],
)
async def test_what_has_no_past_is_told(service: dict[str, Any], policy: dict[str, Any], why: str) -> None:
    with pytest.raises(NotReplayable, match=why):
        await replayed(deploy(service=service, **policy))
