"""docs/deploy/ecs.md and the files that it is about: what is typed is what AWS takes, and the parts fit each other."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session
from botocore.validate import ParamValidator
from ruamel.yaml import YAML

from deploy.hooks import aws_relay
from healthd.config.file import parse
from healthd_gates.config.settings import Config
from tests.unit.docs.blocks import ROOT, blocks
from tests.unit.shipped.aws_page import AwsPage, complaints

ECS = ROOT / "deploy/ecs"
PAGE = AwsPage("docs/deploy/ecs.md")
CONFIG = (ECS / "config.yaml").read_text(encoding="utf-8")
TASK: dict[str, Any] = json.loads((ECS / "task-definition.json").read_text())
(CONTAINER,) = TASK["containerDefinitions"]
OF_THE_TASK = (TASK["taskRoleArn"], TASK["executionRoleArn"])
ADDRESSES = {"JOURNAL_URI": "postgresql://db/healthd", "POSTGRESQL_URI": "postgresql://db/shop"}


def test_every_call_of_aws_is_one() -> None:
    """Its operation and its options are in the SDK's description, and none that is required is missing."""
    assert {(service, operation) for service, operation, _ in PAGE.calls()} >= {
        ("secretsmanager", "create-secret"),
        ("lambda", "create-function"),
        ("ecs", "update-service"),
    }
    assert complaints(PAGE) == []


def test_the_lambda_is_given_longer_than_the_relay_can_take() -> None:
    """By its tries and pauses: a Lambda that is ended in the middle answers nothing."""
    options = PAGE.options_of("create-function")
    tries, pauses = aws_relay._TRIES, sum(aws_relay._PAUSE * attempt for attempt in range(1, aws_relay._TRIES))
    assert float(str(options["timeout"])) > tries * (2 * aws_relay._SSM_TIMEOUT + aws_relay._TIMEOUT) + pauses
    pages = [(ROOT / page).read_text() for page in ("docs/deploy/ecs.md", "docs/hooks.md")]
    assert all(set(re.findall(r"(\d+) s are more|must be (\d+) s", page)) for page in pages)
    told = {each for page in pages for pair in re.findall(r"(\d+) s are more|must be (\d+) s", page) for each in pair}
    assert told - {""} == {options["timeout"]}


def test_the_archive_has_the_handler(tmp_path: Path) -> None:
    """Where Lambda looks for it."""
    (line,) = re.findall(r"(?m)^python3 (-m zipfile -c relay.zip .*)$", PAGE.shell)
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    subprocess.run([sys.executable, *line.split()], cwd=tmp_path, check=True)
    options = PAGE.options_of("create-function")
    module, _, function = str(options["handler"]).partition(".")
    assert zipfile.ZipFile(tmp_path / "relay.zip").namelist() == [f"{module}.py"]
    assert callable(getattr(aws_relay, function))


def test_the_hook_the_roles_and_the_configuration_name_the_same() -> None:
    """The Lambda that may be called is the one that is made and that the service calls, at configured stages."""
    service = PAGE.shown_with("lifecycleHooks")
    hook = service["deploymentConfiguration"]
    (balancer,) = service["loadBalancers"]
    (invoke,) = [each for each in PAGE.shown if "lambda:InvokeFunction" in json.dumps(each)]
    (called,) = hook["lifecycleHooks"]
    made = PAGE.options_of("create-function")
    assert called["hookTargetArn"] == invoke["Statement"][0]["Resource"]
    assert str(called["hookTargetArn"]).rpartition(":")[2] == made["function-name"]
    roles = {options["role-name"] for _, operation, options in PAGE.calls() if operation == "create-role"}
    named = (called["roleArn"], made["role"], balancer["advancedConfiguration"]["roleArn"], *OF_THE_TASK)
    assert roles == {str(role).rpartition("/")[2] for role in named}
    config: dict[str, Any] = YAML(typ="safe").load(CONFIG)
    (stages,) = config["hooks"]["ecs"]["services"].values()
    assert set(called["lifecycleStages"]) == stages.keys()
    assert f"{config['http']['external_url']}/hooks/ecs/ecs" in str(made["environment"])
    shapes = Session().get_service_model("ecs")
    assert ParamValidator().validate(service, shapes.shape_for("UpdateServiceRequest")).generate_report() == ""
    assert balancer["advancedConfiguration"].keys() == shapes.shape_for("AdvancedConfiguration").members.keys()


def test_the_hooks_that_are_shown_are_those_of_the_configuration() -> None:
    """The page shows what `config.yaml` has, and each stage is judged at an address that the service has."""
    (shown,) = [
        YAML(typ="safe").load(each.text) for each in blocks() if each.page == PAGE.page and each.language == "yaml"
    ]
    config: dict[str, Any] = YAML(typ="safe").load(CONFIG)
    assert shown == {key: config[key] for key in ("hooks", "services")}
    service = PAGE.shown_with("lifecycleHooks")
    stages = shown["hooks"]["ecs"]["services"][f"{service['cluster']}/{service['service']}"]
    (called,) = service["deploymentConfiguration"]["lifecycleHooks"]
    assert set(called["lifecycleStages"]) == stages.keys()
    assert {stage["target"] for stage in stages.values()} == shown["services"]["api"]["targets"].keys()


def test_ecs_may_take_the_roles_of_the_task() -> None:
    """By whom a role may be taken stands where it is made: the two of the task definition by tasks."""
    trusted = {
        str(options["role-name"]): json.loads(str(options["assume-role-policy-document"]))["Statement"]
        for _, operation, options in PAGE.calls()
        if operation == "create-role"
    }
    for role in OF_THE_TASK:
        (statement,) = trusted[str(role).rpartition("/")[2]]
        assert statement["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}


@pytest.mark.parametrize("page", [PAGE, AwsPage("docs/deploy/codedeploy.md")], ids=["ecs", "codedeploy"])
def test_rights_are_given_to_roles_that_were_made(page: AwsPage) -> None:
    """On the page itself or on that of ECS, which the one of CodeDeploy begins with."""
    made = {options["role-name"] for each in (PAGE, page) for _, name, options in each.calls() if name == "create-role"}
    given = {options["role-name"] for _, name, options in page.calls() if name.endswith("-role-policy")}
    assert given <= made
    assert given


def test_the_task_hands_over_what_the_configuration_needs() -> None:
    """Each variable without a default, and the configuration itself, which the page stores under that name."""
    config = parse(CONFIG, "config.yaml", Config, ADDRESSES)
    assert CONTAINER["stopTimeout"] > 2 * config.http.drain
    secrets = {each["name"]: each["valueFrom"] for each in CONTAINER["secrets"]}
    assert secrets.keys() == {"HEALTHD_YAML", *re.findall(r"\$\{([A-Z_]+)\}", CONFIG)}
    stored = PAGE.options_of("create-secret")
    assert re.search(rf":secret:{stored['name']}-\w{{6}}$", secrets["HEALTHD_YAML"])
    parameters = {str(options["name"]) for _, operation, options in PAGE.calls() if operation == "put-parameter"}
    (relay,) = [each["Statement"][0] for each in PAGE.shown if "ssm:GetParameter" in json.dumps(each).split('"')]
    assert parameters == {
        arn.partition(":parameter")[2] for arn in (*secrets.values(), relay["Resource"]) if ":ssm:" in arn
    }
    made = PAGE.options_of("create-function")
    assert f"HEALTHD_TOKEN_PARAMETER={relay['Resource'].partition(':parameter')[2]}}}" in str(made["environment"])
    variables = re.findall(r'(?m)^variable "(\w+)"', (ECS / "main.tf").read_text())
    assert sorted(re.findall(r"-var '?(\w+)=", PAGE.shell)) == sorted(variables)
