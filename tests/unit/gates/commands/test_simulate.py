"""`healthd gate simulate` of a policy with a ramp: how long, how much harm, and what means nothing for it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from healthd.cli import main

pytestmark = pytest.mark.proof

POLICY = """
policies:
  gradual:
    criteria: [{kind: error_rate, limit: 5%, compare: {to: concurrent}}]
    ramp: {budget: 500}
    interval: 15s
    observe: {min: 30s, max: 5m}
"""


def simulated(folder: Path, *words: str) -> Result:
    file = folder / "healthd.yaml"
    file.write_text(POLICY)
    return CliRunner().invoke(main, ["gate", "simulate", *words, "--config", str(file)])


def test_a_plan_of_a_ramp_says_how_long_and_how_much_harm(tmp_path: Path) -> None:
    """A line for each kind of release, and the weights of a healthy one."""
    planned = simulated(tmp_path, "gradual", "--rate", "200", "--runs", "10")
    assert planned.exit_code == 0, planned.output
    assert planned.stderr == "simulating 10 gates of each of 6 kinds of release, then the table follows\n"
    assert "a budget of 500 requests" in planned.output
    assert "One of the healthy releases had" in planned.output
    for kind in ("healthy", "2× errors", "5× errors", "outage", "answers nobody"):
        assert f"\n{kind}" in planned.output


def test_a_script_gets_the_same(tmp_path: Path) -> None:
    planned = simulated(tmp_path, "gradual", "--rate", "200", "--runs", "10", "--json", "--action", "2s")
    assert not planned.stderr
    found = {row["change"]["name"]: row for row in json.loads(planned.stdout)["forecasts"]}
    assert found["outage"]["harmed_90"] <= 1.5 * 500
    assert found["healthy"]["weights"][-1][1] == 1.0


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        (("gradual", "--rate", "5", "--baseline-rate", "5"), "give with --rate the requests of both"),
        (("canary", "--rate", "5", "--action", "3s"), "policy canary has no ramp"),
        (("gradual", "--rate", "5", "--action", "soon"), "soon"),
    ],
)
def test_what_means_nothing_is_refused(tmp_path: Path, words: tuple[str, ...], cure: str) -> None:
    refused = simulated(tmp_path, *words)
    assert refused.exit_code == 3
    assert cure in refused.output
