"""A ramp over the past: divided as it would have been, widened as a gate is, and harm counted at those weights."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from healthd_gates.config.policy import Policy
from healthd_gates.domain.evidence import Counts, Events, Evidence, Histogram, Stream, Values
from healthd_gates.domain.ramp import Course, Pause
from healthd_gates.domain.recording import Recording
from healthd_gates.domain.standing import Verdict
from healthd_gates.engine.ramp_replay import Replayed, _asked, _divided, replayed_ramp
from healthd_gates.engine.spec import GateSpec

START = datetime(2026, 3, 1, tzinfo=UTC)
POLICY: dict[str, Any] = {
    "observe": {"min": "60s", "max": "5m"},
    "criteria": [
        {"kind": "error_rate", "limit": "5%", "compare": {"to": "concurrent"}},
        {"kind": "latency", "quantile": "95%", "limit": "1s", "critical": False},
    ],
    "ramp": {"budget": 300, "pause_before": ["50%"]},
}


def past(bad: float, *, share: float = 0.5) -> Iterator[Evidence]:
    """Half an hour in which a version had this share of 500 requests a second."""
    for number in range(1, 361):
        n, m = 2500 * share, 2500 * (1 - share)
        quick = Histogram((0.1, 1.0, float("inf")), (n, 0.0, 0.0), n * 0.05)
        yield Evidence(START + timedelta(seconds=5 * number), 5.0, Counts(n, n * bad, quick), Counts(m, 0.0))


def replayed(bad: float, **more: float) -> list[Replayed]:
    spec = GateSpec(Policy.model_validate(POLICY), None)
    return list(replayed_ramp(spec, spec.verdict_rules, Recording(list(past(bad, **more))), START))


def test_a_good_version_would_have_had_everything() -> None:
    """Whatever part it had then, and whoever is to be asked on the way."""
    for share in (0.5, 0.1):
        looks = replayed(0.0, share=share)
        assert looks[-1].standing.verdict is Verdict.PASS
        assert (looks[-1].weight, looks[-1].harmed) == (1.0, 0.0)
        weights = [look.weight or 0.0 for look in looks]
        assert weights == sorted(weights)


def test_a_bad_version_would_have_harmed_no_more_than_the_budget() -> None:
    looks = replayed(0.2)
    assert looks[-1].standing.verdict is Verdict.FAIL
    assert 0 < looks[-1].harmed <= 300
    assert max(look.weight or 0.0 for look in looks) < 0.5


def test_a_version_that_nobody_called_is_given_nothing_more() -> None:
    """Its first weight shows nobody, as with a version that answers nobody."""
    looks = replayed(0.0, share=0.0)
    assert looks[-1].standing.verdict is Verdict.INCONCLUSIVE
    assert "No request of the candidate was counted" in looks[-1].standing.sentence


def test_a_past_that_ends_before_the_verdict_has_none() -> None:
    spec = GateSpec(Policy.model_validate(POLICY), None)
    few = list(past(0.0))[:6]
    looks = list(replayed_ramp(spec, spec.verdict_rules, Recording(few), START))
    assert [look.standing.verdict for look in looks] == [None] * 6


def test_a_pause_that_the_policy_would_not_have_made_is_none() -> None:
    """A person was asked before a quarter then, and the policy asks before the half alone."""
    made, not_made = Pause(1, START, before=0.5), Pause(1, START, before=0.25)
    by_person = Pause(2, START, by="ann")
    for pause, kept in ((made, made), (not_made, None), (by_person, by_person), (None, None)):
        then = _asked(Course(1, 0.25, True, 5.0, pause), (0.5,))
        assert then is not None
        assert then.pause == kept
    assert _asked(None, (0.5,)) is None


def test_own_numbers_are_divided_where_they_are_of_requests() -> None:
    """A measured value, and events that are counted by themselves, stay as they were."""
    numbers = {
        "share": Stream(Counts(100, 4), Counts(100, 2)),
        "errors": Stream(Events(4, 100.0), Events(2, 100.0)),
        "restarts": Stream(Events(3, None), Events(1, None)),
        "memory": Stream(Values((5.0,)), Values((4.0,))),
    }
    half = Evidence(START, 5.0, Counts(100, 0), Counts(100, 0), streams=numbers)
    met = _divided(half, 0.25).streams
    assert (met["share"].candidate, met["share"].baseline) == (Counts(50, 2), Counts(150, 3))
    assert (met["errors"].candidate, met["errors"].baseline) == (Events(2, 50.0), Events(3, 150.0))
    assert met["restarts"] == numbers["restarts"]
    assert met["memory"] == numbers["memory"]


def test_a_gate_that_would_have_waited_for_a_person_is_decided_as_if_nobody_came() -> None:
    """Nobody can be asked of the past."""
    policy = Policy.model_validate({**POLICY, "inconclusive": "hold", "hold_timeout": "10m"})
    spec = GateSpec(policy, None)
    recording = Recording(list(past(0.0, share=0.0)))
    looks = list(replayed_ramp(spec, spec.verdict_rules, recording, START))
    assert looks[-1].standing.verdict is Verdict.INCONCLUSIVE
    assert len(looks) < len(recording.looks)
