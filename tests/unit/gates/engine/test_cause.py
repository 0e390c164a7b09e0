"""The verdict says why there were no numbers, or what was odd about them: a pipeline shows nothing else."""

from datetime import timedelta
from pathlib import Path

import pytest

from healthd_gates.domain.standing import Reason, Standing, Verdict
from healthd_gates.engine.transitions import decision_of
from tests.fakes.gates import Script, config, replica, request, unreachable
from tests.fakes.monitoring import MIDNIGHT


async def test_an_outage_of_the_source_is_named_in_the_verdict(file: Path) -> None:
    """Also on the page of a gate that is over, which shows the decision's sentence."""
    Script.act = unreachable
    async with replica(file, config(policy={"observe": {"max": "2m"}})) as running:
        gate = await running.keeper.start(request(), caller="ci")
        gate = await running.keeper.wait(gate.id, 900)
        assert gate.decision is not None
        assert gate.decision.verdict is Verdict.INCONCLUSIVE
        assert "The source says: connection refused." in gate.decision.sentence


@pytest.mark.parametrize(
    ("reason", "notes", "sentence"),
    [
        (Reason.NO_TELEMETRY, ["Prometheus answered 401"], "Silent. The source says: Prometheus answered 401."),
        (Reason.PROVEN_SAFE, ["no series matches errors"], "Silent. The source says: no series matches errors."),
        (Reason.NO_TELEMETRY, ["Did you mean green?"], "Silent. The source says: Did you mean green?"),
        (Reason.PROVEN_SAFE, [], "Silent."),
        (Reason.PROVEN_SAFE, ['baseline: no series matches requests{version="1"}'], "Silent."),
        (Reason.NO_TELEMETRY, list("abcde"), "Silent. The source says: a; b; c."),
    ],
)
def test_what_the_source_says_stands_in_the_sentence(reason: Reason, notes: list[str], sentence: str) -> None:
    """A few of its notes: forty pods may say the same."""
    standing = Standing(MIDNIGHT + timedelta(seconds=60), 60, Verdict.PASS, reason, "Silent.", 0.0, 4.6, ())
    assert decision_of(standing, MIDNIGHT, promotes=True, notes=notes).sentence == sentence
