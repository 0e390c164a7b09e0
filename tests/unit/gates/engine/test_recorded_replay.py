"""A gate that has been is replayed from its own looks: under its policy it goes as it went, under another otherwise."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

import pytest

from healthd_gates.config.policy import Policy
from healthd_gates.domain.evidence import Counts, Evidence, Histogram
from healthd_gates.domain.standing import Verdict
from healthd_gates.engine.backtest import NotReplayable
from healthd_gates.engine.ramp_replay import Replayed
from healthd_gates.engine.recorded_replay import Recorded, recorded_rules, replay_recorded
from healthd_gates.engine.spec import GateSpec
from healthd_gates.engine.virtual_ramp import VirtualRamp
from healthd_gates.schema.evidence import EvidenceDocument

START = datetime(2026, 3, 1, tzinfo=UTC)
POLICY: dict[str, Any] = {
    "observe": {"min": "60s", "max": "5m"},
    "criteria": [{"kind": "error_rate", "limit": "5%", "compare": {"to": "concurrent"}}],
    "ramp": {"budget": 300},
}
_ACTION, _RATE = 5.0, 500.0


def spec(**changes: Any) -> GateSpec:
    return GateSpec(Policy.model_validate({**POLICY, **changes}), None)


def ran(bad: float) -> tuple[Recorded, VirtualRamp]:
    """A gate that widened a release of which this share of the requests was bad, and what is stored of it."""
    asked, looks = spec(), list[Evidence]()
    gate = VirtualRamp(asked, asked.verdict_rules, (), START, _ACTION)
    while gate.gate.decision is None:
        share = gate.share(5.0)
        n, m = _RATE * 5 * share, _RATE * 5 * (1 - share)
        at = START + timedelta(seconds=5 * (len(looks) + 1))
        looks.append(Evidence(at, 5.0, Counts(n, n * bad) if n else None, Counts(m, 0.0) if m else None))
        gate.look(looks[-1])
    assert gate.gate.ramp is not None
    return Recorded(looks, full_at=gate.gate.ramp.full_at, action_seconds=_ACTION), gate


def steps(looks: Sequence[Replayed]) -> list[tuple[float, float]]:
    """When each weight was ordered, and the weight."""
    found: list[tuple[float, float]] = []
    for look in looks:
        assert look.ramp is not None
        if look.ramp.weight != (found[-1][1] if found else 0.0):
            found.append((look.standing.elapsed_seconds, look.ramp.weight))
    return found


@pytest.mark.parametrize("bad", [0.0, 0.2])
def test_under_its_own_policy_it_goes_as_it_went(bad: float) -> None:
    """Each weight at its look, for its reason, and the same verdict."""
    recorded, gate = ran(bad)
    looks = list(replay_recorded(spec(), recorded))
    assert [(seconds + _ACTION, weight) for seconds, weight in steps(looks)] == list(gate.weights)
    assert gate.gate.decision is not None
    assert looks[-1].standing.verdict is gate.gate.decision.verdict
    assert len(looks) == len(recorded.looks)
    widened = next(look.ramp for look in looks if look.ramp is not None and look.ramp.step == 1)
    assert "of its requests were bad beyond the baseline's" in widened.why


def test_with_less_budget_a_bad_one_would_have_harmed_less() -> None:
    recorded, _ = ran(0.2)
    (*_, as_it_was) = replay_recorded(spec(), recorded)
    (*_, careful) = replay_recorded(spec(ramp={"budget": 60}), recorded)
    assert as_it_was.standing.verdict is Verdict.FAIL
    assert 0 < careful.harmed < as_it_was.harmed


def test_a_slower_one_ends_where_the_baseline_does() -> None:
    """From then on nothing is known of it: no share is made up, and none said not to follow."""
    recorded, _ = ran(0.0)
    looks = list(replay_recorded(spec(ramp={"budget": 30}), recorded))
    last = looks[-1]
    assert last.standing.verdict is None
    assert last.ramp is not None
    assert last.ramp.weight < 1
    assert last.standing.at == recorded.full_at
    assert not any("does not follow" in look.ramp.held for look in looks if look.ramp is not None)


def test_without_a_ramp_it_is_judged_as_it_was_seen() -> None:
    recorded, _ = ran(0.2)
    (*_, last) = replay_recorded(spec(ramp=None), recorded)
    assert (last.standing.verdict, last.ramp, last.weight) == (Verdict.FAIL, None, None)


def test_what_cannot_be_replayed_says_why() -> None:
    """Nothing stored, no baseline beside it, only what the moment itself could answer."""
    recorded, _ = ran(0.0)
    alone = replace(recorded, looks=[replace(each, baseline=None) for each in recorded.looks])
    for given, why in ((Recorded([]), "nothing is stored of its looks"), (alone, "this gate saw none")):
        with pytest.raises(NotReplayable, match=why):
            list(replay_recorded(spec(), given))
    with pytest.raises(NotReplayable, match="have no past"):
        recorded_rules(spec(ramp=None, criteria=[{"kind": "checks", "group": "preflight"}]))


def test_evidence_comes_back_from_its_document_as_it_was() -> None:
    """In JSON, which has no infinity, with buckets and routes."""
    latency = Histogram((0.1, 1.0, inf), (8.0, 1.5, 0.5), 2.0)
    counts = Counts(10, 1, latency, {"/pay": (4.0, 1.0)})
    stages = {
        "gate": [Evidence(START, 5.0, counts, None, gaps=1, resets=2, span=7.5)],
        "history": [Evidence(START, 60.0, None, Counts(3, 0))],
        "earlier": [],
    }
    text = EvidenceDocument.of(stages).model_dump_json()
    found = EvidenceDocument.model_validate_json(text)
    assert [each.evidence() for each in found.looks] == stages["gate"]
    assert [each.evidence() for each in found.history] == stages["history"]
