"""A gate that has been is replayed from its own looks: under its policy it goes as it went, under another otherwise."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from random import Random
from typing import Any

import pytest

from healthd_gates.config.policy import Policy
from healthd_gates.domain.evidence import Counts, Events, Evidence, Histogram, Lives, Observation, Stream, Values
from healthd_gates.domain.ramp import Course, Pause
from healthd_gates.domain.recording import Recording
from healthd_gates.domain.standing import Finding, Verdict
from healthd_gates.engine.backtest import NotReplayable
from healthd_gates.engine.ramp_replay import Replayed
from healthd_gates.engine.recorded_replay import Recorded, recorded_rules, replay_recorded
from healthd_gates.engine.spec import GateSpec
from healthd_gates.engine.virtual_ramp import VirtualRamp
from healthd_gates.judge.judge import Judge
from healthd_gates.schema.evidence import EvidenceDocument
from tests.fakes.gates import replica
from tests.unit.gates.engine.test_ramp import World, live, ramping, request

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
    return Recorded(Recording(looks), full_at=gate.gate.ramp.full_at, action_seconds=_ACTION), gate


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
    assert len(looks) == len(recorded.recording.looks)
    widened = next(look.ramp for look in looks if look.ramp is not None and look.ramp.step == 1)
    assert "of its requests were bad beyond the baseline's" in widened.why


def test_it_goes_as_it_went_however_uneven_that_was() -> None:
    """Shares that scatter, changes of weight that take longer, a past that comes late, and a person's pause."""
    random, asked = Random(7), spec()
    history = [Evidence(START - timedelta(seconds=30 * ago), 30.0, None, Counts(3000, 3)) for ago in range(20, 0, -1)]
    gate = VirtualRamp(asked, asked.verdict_rules, (), START, 1.0)
    looks, courses, takes = list[Evidence](), dict[datetime, Course](), iter([2.0, 14.0, 6.0, 31.0, 8.0, 8.0, 8.0])
    at, step = START, 0
    pause = Pause(1, START, "ann", "talk")
    while gate.gate.decision is None:
        seconds = 5 * random.uniform(0.97, 1.03)
        at += timedelta(seconds=seconds, microseconds=random.randrange(9))
        n = sum(random.random() < gate.share(seconds) for _ in range(500))
        looks.append(Evidence(at, seconds, Counts(n, 0.0) if n else None, Counts(500 - n, 0.0)))
        if len(looks) == 4:
            gate.learn(history)
        if len(looks) in (9, 13):
            assert gate.gate.ramp is not None
            gate.gate = replace(gate.gate, ramp=replace(gate.gate.ramp, pause=pause if len(looks) == 9 else None))
        gate.look(looks[-1])
        courses[at] = gate.course
        if gate.course.step > step:
            step = gate.course.step
            gate._action = next(takes)
    assert gate.gate.ramp is not None
    recording = Recording(looks, history, (), looks[3].at + timedelta(milliseconds=1), courses)
    kept = EvidenceDocument.model_validate_json(EvidenceDocument.of(recording).model_dump_json()).recording()
    again = list(replay_recorded(asked, Recorded(kept, full_at=gate.gate.ramp.full_at, action_seconds=8.0)))
    assert step >= 3
    assert [look.ramp.course for look in again if look.ramp is not None] == list(courses.values())
    assert again[-1].standing == gate.gate.standing


OWN: list[dict[str, Any]] = [
    {"kind": "error_rate", "limit": "5%", "compare": {"to": "concurrent"}},
    {"kind": "rate", "name": "restarts", "events": "restarts", "limit": 0.1, "critical": False},
    {"kind": "error_rate", "name": "edge", "source": "balancer", "limit": "1%"},
    {"kind": "smoke", "requests": [{"get": "/health", "status": 200}]},
]


def test_a_past_that_came_late_is_known_as_late_again() -> None:
    """Without it the first looks are judged by themselves, as they were."""
    asked = spec(ramp=None, criteria=[{"kind": "error_rate", "limit": "5%", "compare": {"to": "history"}}])
    history = [Evidence(START - timedelta(seconds=30 * ago), 30.0, None, Counts(3000, 3)) for ago in range(60, 0, -1)]
    looks = [Evidence(START + timedelta(seconds=5 * n), 5.0, Counts(500, 9), None) for n in range(1, 13)]
    live, standings = Judge(asked.verdict_rules, (), (), ()), []
    for number, each in enumerate(looks):
        if number == 7:
            live = Judge(asked.verdict_rules, history, (), ())
            for before in looks[:7]:
                live.take(before)
        standings.append(live.step(each))
    at = looks[7].at + timedelta(milliseconds=3)
    replayed = [each.standing for each in replay_recorded(asked, Recorded(Recording(looks, history, (), at)))]
    assert replayed == standings[: len(replayed)]
    assert len(replayed) > 8
    known_at_once = list(replay_recorded(asked, Recorded(Recording(looks, history))))
    assert known_at_once[3].standing != standings[3]


def test_what_the_gate_has_read_is_judged_again() -> None:
    """Numbers of another source and of own series, and answers: where the policy of the gate asked for the same."""
    judged = Policy.model_validate({**POLICY, "ramp": None, "criteria": OWN})
    failing = {"@balancer": Stream(Counts(500, 400), None), "restarts": Stream(Events(0, instances=2), None)}
    looks = [
        Evidence(START + timedelta(seconds=5 * n), 5.0, Counts(500, 0), None, (Observation("smoke", ok=True),))
        for n in range(1, 60)
    ]
    looks = [replace(each, streams=failing) for each in looks]
    recorded = Recorded(Recording(looks), judged)
    asked = GateSpec(judged, None)
    assert recorded_rules(asked, recorded)[1] == ()
    (*_, last) = replay_recorded(asked, recorded)
    assert last.standing.verdict is Verdict.FAIL
    assert {each.name: each.finding for each in last.standing.criteria}["edge"] is Finding.HARM
    series = {**OWN[1], "events": "other"}
    elsewhere = {**OWN[2], "source": "mesh"}
    smoke = {**OWN[3], "requests": [{"get": "/other", "status": 200}]}
    stricter = {**OWN[3], "failures": 1}
    for changed, left_out in (
        ([OWN[0], series, OWN[2], stricter], ("restarts",)),
        ([OWN[0], OWN[1], elsewhere, OWN[3]], ("edge",)),
        ([OWN[0], OWN[1], OWN[2], smoke], ("smoke",)),
    ):
        other = GateSpec(judged.model_validate({**POLICY, "ramp": None, "criteria": changed}), None)
        assert recorded_rules(other, recorded)[1] == left_out
    assert recorded_rules(asked, replace(recorded, policy=None))[1] == ("restarts", "edge", "smoke")


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
    alone = Recorded(Recording([replace(each, baseline=None) for each in recorded.recording.looks]))
    for given, why in ((Recorded(Recording([])), "nothing is stored of its looks"), (alone, "this gate saw none")):
        with pytest.raises(NotReplayable, match=why):
            list(replay_recorded(spec(), given))
    with pytest.raises(NotReplayable, match="whose numbers this gate has read"):
        recorded_rules(spec(ramp=None, criteria=[{"kind": "checks", "group": "preflight"}]), recorded)


def test_evidence_comes_back_from_its_document_as_it_was() -> None:
    """In JSON, which has no infinity, with buckets and routes, own series, answers and restarts, to the microsecond."""
    latency = Histogram((0.1, 1.0, inf), (8.0, 1.5, 0.5), 2.0)
    counts = Counts(10, 1, latency, {"/pay": (4.0, 1.0)})
    at = START + timedelta(microseconds=123457)
    own = {
        "@second": Stream(counts, None, gaps=1),
        "restarts": Stream(Events(2, instances=3, seconds=5.0), Events(0, 10.0), resets=1),
        "queue": Stream(Values((3.0, 4.5)), None, span=12.0),
    }
    answers = (Observation("smoke", ok=False, detail="503"), Observation("checks", ok=None))
    looks = [
        Evidence(at, 5.0, counts, None, answers, 1, 2, 7.5, Lives(1, 1, 0), Lives(down=2), own),
        Evidence(at + timedelta(seconds=5), 5.0),
    ]
    pause = Pause(1, at, "ann", "talk")
    whole = Recording(
        looks, [Evidence(START, 60.0, None, Counts(3, 0))], (), at, {at: Course(2, 0.25, is_done=True, pause=pause)}
    )
    found = EvidenceDocument.model_validate_json(EvidenceDocument.of(whole).model_dump_json()).recording()
    assert found == replace(whole, earlier=[])


@pytest.mark.parametrize("bad", [0.0, 0.1])
async def test_a_gate_that_ran_is_replayed_from_its_journal(
    file: Path, monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    """With shares and errors that scatter, and a person who was asked on the way: each look as it was."""
    random, world = Random(3), World(base=0.01)
    live(world, monkeypatch)
    world.bad = lambda _seconds, _weight: random.choice([0.5, 1.5]) * max(bad, 0.01)
    world.share = lambda weight: min(1.0, weight * random.uniform(0.8, 1.2)) if weight < 1 else 1.0
    configured = ramping({"budget": 300, "pause_before": ["25%"]})
    async with replica(file, configured) as running:
        gate = await running.keeper.wait((await running.keeper.start(request(), caller="ci")).id, 300)
        if not bad:
            await running.keeper.interventions.resume(gate.id, caller="ann", reason="looks fine")
            gate = await running.keeper.wait(gate.id, 7200)
        assert gate.decision is not None
        assert gate.decision.verdict is (Verdict.FAIL if bad else Verdict.PASS)
        kept = EvidenceDocument.of(await running.keeper.recording(gate.id)).model_dump_json()
    recording = EvidenceDocument.model_validate_json(kept).recording()
    asked = GateSpec(configured.policies[gate.policy], configured.services[gate.service])
    looks = list(replay_recorded(asked, Recorded(recording, asked.policy, gate.created_at)))
    assert [look.ramp.course for look in looks if look.ramp is not None] == list(recording.courses.values())
    assert looks[-1].standing == gate.standing


def test_a_criterion_that_the_gate_did_not_have_is_left_out() -> None:
    """Also where one of another kind had its name: its answers were of another question."""
    smoke = {"kind": "smoke", "name": "edge", "requests": [{"get": "/health", "status": 200}]}
    asked = spec(criteria=[*POLICY["criteria"], smoke])
    for past in (POLICY["criteria"], OWN[:3]):
        had = Policy.model_validate({**POLICY, "criteria": past})
        rules, left_out = recorded_rules(asked, Recorded(Recording([]), had))
        assert ([rule.name for rule in rules.criteria], left_out) == (["error_rate"], ("edge",))


def test_a_look_that_was_judged_together_with_the_next_one_widens_nothing() -> None:
    """As while the journal was away: the weight changes where it changed, at the look that was stored."""

    def course_of(together: int | None) -> tuple[Recorded, list[Course]]:
        asked, courses, looks = spec(), list[Course](), list[Evidence]()
        gate, stored = VirtualRamp(asked, asked.verdict_rules, (), START, _ACTION), dict[datetime, Course]()
        while gate.gate.decision is None:
            n, m = _RATE * 5 * gate.share(5.0), _RATE * 5 * (1 - gate.share(5.0))
            at = START + timedelta(seconds=5 * (len(looks) + 1))
            looks.append(Evidence(at, 5.0, Counts(n, 0.0) if n else None, Counts(m, 0.0) if m else None))
            if len(courses) == together:
                gate._take(looks[-1])
            else:
                gate.look(looks[-1])
                stored[at] = gate.course
            courses.append(gate.course)
        return Recorded(Recording(looks, courses=stored), action_seconds=_ACTION), courses

    _, alone = course_of(None)
    widened = next(place for place, course in enumerate(alone) if course.step == 1)
    recorded, courses = course_of(widened)
    assert (courses[widened].step, courses[widened + 1].step) == (0, 1)
    again = list(replay_recorded(spec(), recorded))
    assert [look.ramp.course for look in again if look.ramp is not None] == courses
