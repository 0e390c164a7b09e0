"""docs/deploy/codedeploy.md: what is typed is what AWS takes, what is named may be called, and the parts fit."""

import json
import re
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session
from botocore.validate import ParamValidator
from moto.iam.aws_managed_policies import aws_managed_policies_data
from ruamel.yaml import YAML

from healthd.config.file import parse
from healthd_gates.config.hooks.codedeploy import CodeDeployConfig
from healthd_gates.config.settings import Config
from tests.unit.docs.blocks import ROOT, blocks
from tests.unit.shipped.aws_page import AwsPage, complaints, operation_model

PAGE = AwsPage("docs/deploy/codedeploy.md")
APPSPEC: dict[str, Any] = YAML(typ="safe").load((ROOT / "deploy/hooks/codedeploy-appspec.yaml").read_text())
HOOKS: dict[str, str] = {event: arn for hook in APPSPEC["Hooks"] for event, arn in hook.items()}
CALLS = (ROOT / "gates/healthd_gates/hooks/codedeploy.py").read_text()
MANAGED: dict[str, Any] = json.loads(aws_managed_policies_data)
_LAMBDA = r"""#!/bin/bash
touch made refused
case $2 in
  get-function) grep -qx "$4" made ;;
  create-function)
    if [[ $4 == *_live ]] && ! grep -qx "$4" refused || grep -qx "$4" made; then echo "$4" >> refused; exit 254; fi
    echo "$4" >> made ;;
esac
"""
"""The CLI, as far as the page goes: a function has a name once, and the role cannot be assumed at first."""


def test_every_call_of_aws_is_one() -> None:
    """Its operation and its options are in the SDK's description, and none that is required is missing."""
    operations = {operation for _, operation, _ in PAGE.calls()}
    assert operations >= {"create-function", "create-deployment-group", "deploy", "list-deployments", "stop-deployment"}
    assert complaints(PAGE) == []


@pytest.mark.parametrize("policy", re.findall(r"`(AWSCodeDeployRole\w+)`", PAGE.text))
def test_the_managed_policy_lets_codedeploy_call_the_lambdas(policy: str) -> None:
    """By the text of AWS's policies that moto has. All but the broadest one go by the function's name."""
    statements = MANAGED[policy]["Document"]["Statement"]
    allowed = [each["Resource"] for each in statements if "lambda:InvokeFunction" in each["Action"]]
    for arn in HOOKS.values():
        assert any(fnmatchcase(arn, pattern) for pattern in allowed), (policy, arn)


@pytest.mark.parametrize("page", ["docs/deploy/codedeploy.md", "docs/deploy/ecs.md"])
def test_a_managed_policy_is_where_it_is_attached_from(page: str) -> None:
    """moto lacks the one of Lambda."""
    arns = {str(options["policy-arn"]) for _, each, options in AwsPage(page).calls() if each == "attach-role-policy"}
    arns.remove("arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole")
    assert arns == {
        f"arn:aws:iam::aws:policy{MANAGED[arn.rpartition('/')[2]]['Path']}{arn.rpartition('/')[2]}" for arn in arns
    }
    assert arns


def test_the_policies_go_by_the_name() -> None:
    """So that the test above says something."""
    (limited,) = [
        each["Resource"]
        for each in MANAGED["AWSCodeDeployRoleForECSLimited"]["Document"]["Statement"]
        if "lambda:InvokeFunction" in each["Action"]
    ]
    assert not fnmatchcase("arn:aws:lambda:eu-central-1:111111111111:function:healthd-relay", limited)


def test_healthds_role_has_the_rights_of_its_calls() -> None:
    """Those that the code makes, and no others."""
    made = {operation_model("codedeploy", call.replace("_", "")).name for call in re.findall(r"client\.(\w+)\(", CALLS)}
    (statement,) = PAGE.shown_with("codedeploy:GetDeployment")["Statement"]
    assert {f"codedeploy:{call}" for call in made} == set(statement["Action"])


def test_each_event_calls_a_lambda_whose_address_is_configured() -> None:
    """The AppSpec file, the functions that are made, and the entries under `hooks`."""
    made = PAGE.options_of("create-function")
    (arms,) = re.findall(r"(?m)^for traffic in (.+); do$", PAGE.shell)
    names = {str(made["function-name"]).replace("$traffic", arm) for arm in arms.split()}
    assert names == {arn.rpartition(":")[2] for arn in HOOKS.values()}
    (shown,) = [each.text for each in blocks() if each.page.name == "codedeploy.md" and each.language == "yaml"]
    hooks = YAML(typ="safe").load(shown)["hooks"]
    (hook,) = hooks
    (address,) = re.findall(r"HEALTHD_HOOK=([^,]+),", str(made["environment"]))
    called = {address.replace("$traffic", arm).removeprefix("https://healthd.example.com") for arm in arms.split()}
    assert called == {f"/hooks/codedeploy/{hook}/{service}" for service in hooks[hook]["services"]}
    events = dict(re.findall(r"(?m)^ +(api-\w+): .*# (\w+)$", shown))
    assert {f"api-{HOOKS[event].rpartition('_')[2]}": event for event in HOOKS} == events
    assert made["timeout"] == AwsPage("docs/deploy/ecs.md").options_of("create-function")["timeout"]


def test_the_gates_of_the_page_end_within_codedeploys_hour() -> None:
    """By the shipped policies and the hook's own patience; the page tells the longest."""
    (shown,) = [each.text for each in blocks() if each.page == PAGE.page and each.language == "yaml"]
    config = parse(shown, "page.yaml", Config, {})
    (hook,) = config.hooks.values()
    assert isinstance(hook, CodeDeployConfig)
    policies = [config.policies[str(entry.policy)] for entry in hook.services.values()]
    longest = hook.wait_timeout + max(each.initial_delay + each.observe.max for each in policies)
    assert longest == 40.5 * 60
    assert "they are 40 minutes and a half" in PAGE.text


def test_what_makes_the_lambdas_may_be_run_again(tmp_path: Path) -> None:
    """As the page says of a role that is too young: the second function is refused once, and each is made once."""
    (loop,) = re.findall(r"(?ms)^for traffic in .*?^done$", PAGE.shell)
    (tmp_path / "aws").write_text(_LAMBDA)
    (tmp_path / "aws").chmod(0o755)
    for _ in range(3):
        subprocess.run(["bash", "-c", loop], cwd=tmp_path, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=False)
    made = (tmp_path / "made").read_text().split()
    assert sorted(made) == sorted(arn.rpartition(":")[2] for arn in HOOKS.values())
    assert (tmp_path / "refused").read_text().split() == ["CodeDeployHook_healthd_live"]


def test_the_deployment_group_is_one_that_rolls_back() -> None:
    """By the SDK's description; the old tasks outlast the watch of the last gate."""
    group = PAGE.shown_with("deploymentGroupName")
    shape = Session().get_service_model("codedeploy").shape_for("CreateDeploymentGroupInput")
    assert ParamValidator().validate(group, shape).generate_report() == ""
    assert group["autoRollbackConfiguration"]["enabled"]
    assert {"DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_REQUEST"} <= set(group["autoRollbackConfiguration"]["events"])
    old = group["blueGreenDeploymentConfiguration"]["terminateBlueInstancesOnDeploymentSuccess"]
    assert old["terminationWaitTimeInMinutes"] > 60
    options = PAGE.options_of("deploy")
    (service,) = group["ecsServices"]
    assert (options["cluster"], options["service"]) == (service["clusterName"], service["serviceName"])
    assert options["codedeploy-application"] == group["applicationName"]
    assert options["codedeploy-deployment-group"] == group["deploymentGroupName"]
    roles = {options["role-name"] for _, operation, options in PAGE.calls() if operation == "create-role"}
    assert roles == {
        str(each).rpartition("/")[2] for each in (group["serviceRoleArn"], PAGE.options_of("create-function")["role"])
    }
