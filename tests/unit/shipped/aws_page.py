"""What is typed and shown on a page about AWS."""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

from botocore.model import OperationModel
from botocore.session import Session

from tests.unit.docs.blocks import ROOT, blocks

_CLI_NAMES = {"deploy": "codedeploy"}  # of services that the CLI calls otherwise
_CLI_OWN = {  # commands of the CLI's own, which make several calls, with their options (awscli 1.41)
    ("ecs", "deploy"): {
        "service",
        "task-definition",
        "codedeploy-appspec",
        "cluster",
        "codedeploy-application",
        "codedeploy-deployment-group",
    },
    ("ecs", "wait"): {"cluster", "services"},  # services-stable
}
_CLI_OPTIONS = {"query", "output", "cli-input-json"}  # of every command


class AwsPage:
    """A page: its shell lines, and the JSON documents that it shows."""

    def __init__(self, page: str) -> None:
        self.page = ROOT / page
        mine = [block for block in blocks() if block.page == self.page]
        self.text = self.page.read_text(encoding="utf-8")
        self.shell = "\n".join(block.text for block in mine if block.language == "sh")
        self.shown: list[Any] = [json.loads(block.text) for block in mine if block.language == "json"]

    def calls(self) -> Iterator[tuple[str, str, dict[str, str | bool]]]:
        """Each call of the AWS CLI: its service, its operation, and its options."""
        typed = re.sub(r"\w+=\$\(((?:[^()']|'[^']*')*)\)", r"\1", self.shell)
        for command in re.split(r"(?m)^ *(?=[a-z]+\b)", typed):
            if not command.startswith("aws "):
                continue
            _, service, operation, *words = shlex.split(command.replace("\\\n", " "))
            options: dict[str, str | bool] = {}
            for word, value in zip(words, [*words[1:], "--"], strict=True):
                if word.startswith("--"):
                    options[word[2:]] = value if not value.startswith("--") else True
            yield service, operation, options

    def options_of(self, operation: str) -> dict[str, str | bool]:
        """The options of the one call of an operation."""
        (found,) = [options for _, each, options in self.calls() if each == operation]
        return found

    def shown_with(self, word: str) -> Any:
        """The one document in which a key or a value is this word."""
        (found,) = [each for each in self.shown if f'"{word}"' in json.dumps(each)]
        return found


def operation_model(service: str, operation: str) -> OperationModel:
    model = Session().get_service_model(_CLI_NAMES.get(service, service))
    (name,) = [each for each in model.operation_names if each.lower() == _joined(operation)]
    return model.operation_model(name)


def complaints(page: AwsPage) -> list[str]:
    """Where a call's operation or options are not in the SDK's description, or one that is required is missing."""
    found = []
    for service, operation, options in page.calls():
        if (own := _CLI_OWN.get((service, operation))) is not None:
            found += [f"{operation}: unknown {each}" for each in options.keys() - own]
            continue
        shape = operation_model(service, operation).input_shape
        assert shape is not None
        known = {each.lower() for each in shape.members} | {_joined(each) for each in _CLI_OPTIONS}
        given = {_joined(each.replace("zip-file", "code")) for each in options}
        found += [f"{operation}: unknown {each}" for each in given - known]
        if "cli-input-json" not in options:
            required = {each.lower() for each in shape.required_members}
            found += [f"{operation}: no {each}" for each in required - given]
    return found


def _joined(kebab: str) -> str:
    return kebab.replace("-", "").lower()
