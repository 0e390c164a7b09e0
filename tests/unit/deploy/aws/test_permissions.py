"""The IAM policies of the documentation are exactly what the tools call."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
_CALL = re.compile(r"cloud\.(elbv2|ssm|ec2)(?:_once)?\.([a-z_]+)\(")
_FORWARDING = re.compile(r"await client\.([a-z_]+)\(")  # of a place, which is `elbv2`'s
_IAM = {"elbv2": "elasticloadbalancing", "ssm": "ssm", "ec2": "ec2"}
_FILES = {"blue-green": ("platform", "group", "remote"), "rolling": ("fleet", "group", "remote")}
_OF_THE_OTHER = {"elasticloadbalancing:AddTags", "elasticloadbalancing:DescribeTags"}  # a group's version


@pytest.mark.parametrize("tool", ["blue-green", "rolling"])
def test_the_policy_names_every_call_and_no_other(tool: str) -> None:
    """Read from the source, so that no branch is missed; what is called for real is compared in the tests that do."""
    found = [
        (service, call)
        for name in _FILES[tool]
        for service, call in _CALL.findall((ROOT / f"deploy/healthd_deploy/aws/{name}.py").read_text())
    ]
    if tool == "blue-green":
        places = (ROOT / "gates/healthd_gates/actions/alb_places.py").read_text()
        found += [("elbv2", call) for call in _FORWARDING.findall(places)]
    called = {f"{_IAM[service]}:{''.join(word.title() for word in call.split('_'))}" for service, call in found}
    if tool == "rolling":
        called -= _OF_THE_OTHER
    section = (ROOT / "docs/deploy/aws.md").read_text().partition(f"### IAM: {tool}")[2]
    policy = json.loads(section.partition("```json")[2].partition("```")[0])
    assert {action for statement in policy["Statement"] for action in statement["Action"]} == called
