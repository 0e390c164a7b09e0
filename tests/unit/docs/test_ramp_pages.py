"""Whoever puts together what a page on ramps shows and the deploy tool's file that ships has two halves that fit."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from docs.generator.config import DEPLOY_TOOLS, EXAMPLES
from healthd.cli import main
from healthd.config.file import parse
from healthd_deploy.core.settings import BlueGreenOptions
from healthd_gates.config.settings import Config
from tests.unit.docs.blocks import ROOT, blocks
from tests.unit.docs.test_blocks import EverythingIsSet

_TOOLS = {
    "aws.md": "aws blue-green",
    "haproxy.md": "haproxy",
    "kubernetes.md": "kubernetes",
    "nginx.md": "nginx",
    "traefik.md": "traefik",
}
_PLACES = (
    *("listener", "target_groups", "route", "namespace", "backends", "file", "service", "services", "apis"),
    *("sockets", "backend", "servers"),
)
_TARGETS = ("backends", "services", "servers", "target_groups", "targets")


def shown_on(name: str) -> tuple[Config, dict[str, Any]]:
    """healthd's configuration with a ramp, and what the page changes in the tool's file."""
    page = ROOT / "docs/deploy" / name
    texts = [block.text for block in blocks() if block.page == page and block.language == "yaml"]
    (with_ramp,) = [text for text in texts if "on_ramp" in text]
    trees = [YAML(typ="safe").load(text) for text in texts]
    changes = [tree for tree in trees if "ramp" in tree.get("gates", {})]
    return parse(with_ramp, name, Config, EverythingIsSet()), changes[0] if changes else {"gates": {"ramp": "gradual"}}


@pytest.mark.parametrize("name", _TOOLS)
def test_both_halves_name_the_same(name: str) -> None:
    """The service, its two targets, the policy with the ramp, and the place where the action sets the weights."""
    judging, changes = shown_on(name)
    shipped = YAML(typ="safe").load(ROOT / "deploy" / EXAMPLES[_TOOLS[name]])
    tool = parse(json.dumps({**shipped, **changes}), name, DEPLOY_TOOLS[_TOOLS[name]], EverythingIsSet())
    assert isinstance(tool, BlueGreenOptions)
    assert tool.gates.ramp is not None
    assert judging.policies[tool.gates.ramp].ramp is not None
    service = judging.services[tool.service]
    (action,) = [judging.actions[each] for each in service.on_ramp]
    assert action.sets_weight
    known, moved = tool.model_dump(mode="json"), action.model_dump(mode="json")
    place = next((known[key] for key in ("traffic", "application", "upstream") if key in known), known)
    targets = next(place[key] for key in _TARGETS if key in place)
    assert targets.keys() == service.targets.keys()
    assert {key: moved[key] for key in _PLACES if moved.get(key) and key in place} == {
        key: place[key] for key in _PLACES if moved.get(key) and key in place
    }


@pytest.mark.proof
def test_the_table_of_a_simulated_ramp_is_what_the_command_prints(tmp_path: Path) -> None:
    """With the configuration above it, by the same seed: a judge that decides otherwise needs other figures."""
    texts = [block.text for block in blocks() if block.page == ROOT / "docs/ramp.md"]
    configuration = next(text for text in texts if "on_ramp: [shift]" in text)
    command = next(text for text in texts if "gate simulate gradual" in text).split()
    table = next(text for text in texts if text.startswith("gradual at 500 requests/s")).splitlines()
    file = tmp_path / "healthd.yaml"
    file.write_text(configuration, "utf-8")
    printed = CliRunner().invoke(main, [*command[1 : command.index("--config")], "--config", str(file)])
    assert printed.exit_code == 0, printed.output
    assert printed.stdout.splitlines()[: len(table) - 1] == table[:-1]
