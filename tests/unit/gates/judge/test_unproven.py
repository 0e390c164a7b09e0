"""A rate beyond the limit that proves no harm: the sentence says why, for whoever is woken by it."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from healthd_gates.config.policy import Policy
from healthd_gates.domain.evidence import Counts, Evidence
from healthd_gates.domain.standing import Verdict
from healthd_gates.judge.judge import Judge
from tests.fakes.monitoring import MIDNIGHT

RULES = Policy.model_validate(
    {
        "initial_delay": "2s",
        "interval": "1s",
        "blip": "2s",
        "observe": {"min": "3s", "max": "1m"},
        "criteria": [{"kind": "error_rate", "limit": "5%", "compare": {"to": "before"}}],
    }
).verdict_rules()
WHY = "before the switch, too, up to 10 % failed for 30 s (until 2026-03-28 23:55:30 UTC)."


def before(*failed: int) -> list[Evidence]:
    """Half minutes before the switch, with so many of a thousand requests failed."""
    at = [MIDNIGHT - timedelta(seconds=30 * (len(failed) - 1 - place)) for place in range(len(failed))]
    return [Evidence(moment, 30.0, None, Counts(1000, bad)) for moment, bad in zip(at, failed, strict=True)]


def said(counts: Counts, history: Sequence[Evidence], earlier: Sequence[Evidence] = ()) -> str:
    judge = Judge(RULES, history, earlier=earlier)
    for second in range(1, 90):
        standing = judge.step(Evidence(MIDNIGHT + timedelta(seconds=second), 1.0, counts))
        if standing.verdict is not None:
            break
    assert standing.verdict is Verdict.INCONCLUSIVE
    return standing.criteria[0].sentence


BURST = before(*[0] * 30, 100, 60, *[0] * 8)


@pytest.mark.parametrize("earlier", [False, True])
def test_a_past_of_bursts_is_named_with_the_time_of_its_worst(earlier: bool) -> None:
    """Whether the source told of it or the gates before."""
    bad = Counts(40, 4)
    sentence = said(bad, [], BURST) if earlier else said(bad, BURST)
    assert "beyond the limit, and yet no proof of harm: " in sentence
    assert sentence.endswith(WHY)


def test_a_quiet_past_is_not_blamed() -> None:
    """What is hardly beyond the limit is proven by no minute; an incident that is left out explains nothing."""
    slightly = Counts(1000, 51)
    for history in (before(*[0] * 40), before(*[0] * 300, 100, *[0] * 60)):
        assert said(slightly, history).endswith("beyond the limit, and yet no proof of harm.")
