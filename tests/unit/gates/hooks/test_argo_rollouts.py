"""The analysis template that ships: what it sends is read, and every word of a gate means what it must."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from healthd.units import parse_duration
from healthd_gates.config.builtin_policies import SHIPPED
from healthd_gates.hooks.argo_rollouts import Measurement
from healthd_gates.hooks.contract import Told, Word
from tests.fakes.deploytools.argo_rollouts import holds

FILE = Path(__file__).parents[4] / "deploy" / "hooks" / "argo-analysis-template.yaml"
METRIC: dict[str, Any] = YAML(typ="safe").load(FILE)["spec"]["metrics"][0]


@pytest.mark.parametrize(
    ("word", "succeeds", "fails"),
    [
        (Word.RUNNING, False, False),
        (Word.PASS, True, False),
        (Word.FAIL, False, True),
        (Word.CANCELLED, False, True),
    ],
)
def test_each_word_is_a_measurement(word: Word, succeeds: bool, fails: bool) -> None:
    """Only a pass succeeds; what runs is inconclusive."""
    told = Told(verdict=word, sentence="It is so.", gate="g1").model_dump(mode="json")
    assert holds(METRIC["successCondition"], told) is succeeds
    assert holds(METRIC["failureCondition"], told) is fails
    assert METRIC["provider"]["web"]["jsonPath"] == "{$}"  # the sentence goes along, and is seen in the AnalysisRun


def test_the_template_sends_what_is_read() -> None:
    """With its arguments put in; one that was left as it is, is refused."""
    sent = METRIC["provider"]["web"]["jsonBody"]
    filled = {"rollout": "shop/api", "revision": "7", "version": "6f8b9c7d5", "run": "88231"}
    assert set(sent) == set(filled)
    Measurement.model_validate(filled)
    assert Measurement.model_validate({name: filled[name] for name in ("rollout", "revision", "version")}).run is None
    with pytest.raises(ValidationError):
        Measurement.model_validate(sent)


def test_the_template_waits_as_long_as_a_gate_may_take() -> None:
    """For every policy that ships; the inconclusive measurements until then are not too many."""
    waits = parse_duration(METRIC["interval"]) * METRIC["count"]
    assert METRIC["inconclusiveLimit"] >= METRIC["count"]
    for policy in SHIPPED.values():
        assert waits > parse_duration(policy["initial_delay"]) + parse_duration(policy["observe"]["max"]) + 60
