"""Who is told of a ramp that waits: for a person, or for something that stands in its way."""

from dataclasses import replace
from datetime import timedelta

from healthd_gates.domain.gate import Gate, GateState
from healthd_gates.domain.ramp import Pause, Ramp
from healthd_gates.domain.standing import Reason
from healthd_gates.engine.ramp_notices import ramp_notices
from tests.unit.gates.engine.values import NOW, PASSED, gate, standing

RAMP = Ramp(until=NOW + timedelta(hours=1), weight=0.25, step=2)
SEEN = standing(None, Reason.NOT_ENOUGH_EVIDENCE)
LONG = timedelta(hours=1)


def ramping(**changes: object) -> Gate:
    return gate(GateState.RAMPING, ramp=replace(RAMP, **changes), standing=SEEN)  # type: ignore[arg-type]


def told(before: Gate, after: Gate) -> list[tuple[str, bool]]:
    return [(notice.standing, notice.firing) for notice in ramp_notices(before, after)]


def test_a_pause_and_its_end_are_told() -> None:
    """Of a person, and of a policy that asks before a weight."""
    paused = ramping(pause=Pause(1, NOW, by="ann"))
    assert told(ramping(), paused) == [("ramp paused 1 g1", True)]
    assert told(paused, ramping()) == [("ramp resumed 1 g1", False)]
    assert told(paused, paused) == []
    unseen = replace(paused, standing=None)
    assert told(unseen, replace(ramping(), standing=None)) == [("ramp resumed 1 g1", False)]
    assert told(ramping(), ramping(pause=Pause(2, NOW, before=0.5))) == [("ramp paused 2 g1", True)]


def test_what_stands_in_its_way_for_long_is_told() -> None:
    held = ramping(held_since=NOW - LONG)
    assert told(ramping(), held) == [("ramp held 2 g1", True)]
    assert told(held, ramping()) == [("ramp free 2 g1", False)]
    assert told(ramping(), ramping(held_since=NOW)) == []


def test_a_ramp_that_has_not_begun_or_is_decided_is_not_told() -> None:
    assert told(gate(), ramping(held_since=NOW - LONG)) == []
    assert told(ramping(), replace(ramping(held_since=NOW - LONG), decision=PASSED)) == []
    unseen = replace(ramping(held_since=NOW - LONG), standing=None)
    assert told(ramping(), unseen) == []
