"""What the AWS tools can be told, and what they refuse."""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from healthd.config.file import ConfigError, load, parse
from healthd_deploy.aws.settings import BlueGreenConfig, Command, RollingConfig

HERE = Path(__file__).parents[4] / "deploy/aws"
ELB = "arn:aws:elasticloadbalancing:eu-central-1:123456789012"
BLUE, GREEN = f"{ELB}:targetgroup/blue/73e2d6bc24d8a067", f"{ELB}:targetgroup/green/6d0ecf831eec9f09"


@pytest.mark.parametrize(("name", "model"), [("blue-green", BlueGreenConfig), ("rolling", RollingConfig)])
def test_the_examples_are_valid(name: str, model: Any) -> None:
    """With nothing but a token in the environment."""
    config = load(HERE / f"{name}.yaml", model, {"HEALTHD_TOKEN": "token"})
    assert config.healthy.within == 300


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"target_groups": {"blue": BLUE, "green": BLUE}}, "both have the same ARN"),
        ({"target_groups": {"blue": BLUE}}, "target_groups: needs 2 or more"),
        ({"listener": "arn:aws:elasticloadbalancing:eu:1:listener/app"}, "listener: must be the ARN of a listener"),
        ({"rule": f"{ELB}:listener-rule/app/a/0/1/2"}, "give either listener or rule"),
        ({"listener": None}, "give either listener or rule"),
        ({"instances": {"red": ["i-0123456789abcdef0"]}}, "red is not one of target_groups"),
        ({"deregister": True}, "deregister needs instances for both targets"),
        ({"retire_after": None}, "retire_after is missing"),
        ({"release": {"commands": []}}, "release: commands are missing"),
        ({"release": {"document": "My-Release", "commands": ["x"]}}, "give My-Release its parameters"),
        ({"release": {"commands": ["x"], "start_within": "5s"}}, "release.start_within: must be at least 30s"),
        ({"healthy": {"within": 300}}, "healthy.within: 300 is not a duration"),
        ({"aws": {"retries": "legacy"}}, "aws.retries: must be 'standard' or 'adaptive'"),
    ],
)
def test_a_bad_blue_green_names_field_and_fix(changes: dict[str, Any], problem: str) -> None:
    """As a person wrote it, with the file's name."""
    assert problem in refused(BlueGreenConfig, "blue-green", changes)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"target_group": "web"}, "target_group: must be the ARN of a targetgroup"),
        ({"gates": {"idle": ["smoke"]}}, "a rolling deploy has no target without traffic"),
        ({"batch": 0}, "batch: must be at least 1"),
        ({"on_fail": "none"}, "on_fail: must be 'batch' or 'all'"),
        ({"previous": "1; reboot"}, "previous: must be one word of letters"),
    ],
)
def test_a_bad_rolling_names_field_and_fix(changes: dict[str, Any], problem: str) -> None:
    """The same."""
    assert problem in refused(RollingConfig, "rolling", changes)


def refused(model: Any, name: str, changes: dict[str, Any]) -> str:
    """The problems of the example with these changes; None takes a key away."""
    yaml = YAML(typ="safe")
    changed = {**yaml.load((HERE / f"{name}.yaml").read_text()), **changes}
    file = [f"{key}: {json.dumps(value)}" for key, value in changed.items() if value is not None]
    with pytest.raises(ConfigError) as caught:
        parse("\n".join(file), "deploy.yaml", model, {"HEALTHD_TOKEN": "token"})
    return str(caught.value)


def test_words_are_filled_in_and_the_shells_own_stay() -> None:
    """A limit for the document goes along; a longer name is another variable."""
    command = Command(commands=("release $version to $target in $HOME, $versions",), timeout=90.0)
    assert command.filled({"version": "1.1", "target": "blue"}) == {
        "commands": ["release 1.1 to blue in $HOME, $versions"],
        "executionTimeout": ["90"],
    }
    own = Command(document="My-Release", parameters={"tag": ("$version",)})
    assert own.filled({"version": "1.1"}) == {"tag": ["1.1"]}
