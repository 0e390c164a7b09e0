"""docs/deploy/kubernetes.md and the manifests that it is about: who follows the page word for word has what fits."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.unit.docs.blocks import ROOT, blocks
from tests.unit.shipped.kubernetes.cluster import FOLDER, built, one

PAGE = ROOT / "docs/deploy/kubernetes.md"
SHOWN = [block for block in blocks() if block.page == PAGE]
OBJECTS: list[dict[str, Any]] = [YAML(typ="safe").load(block.text) for block in SHOWN if "apiVersion" in block.text]
OWN_PORT = re.compile(r"http://(?P<service>[a-z-]+)\.shop(?::(?P<port>\d+))?")


def ports_of(service: str) -> set[int]:
    return {port["port"] for port in one(built("example"), "Service", service)["spec"]["ports"]}


def named(tree: Any) -> list[tuple[str, int]]:
    """The Services with their ports that an object leads traffic to: backends of a route or of an Ingress."""
    if isinstance(tree, list):
        return [pair for each in tree for pair in named(each)]
    if not isinstance(tree, dict):
        return []
    port = tree.get("port")
    own = [(tree["name"], port["number"] if isinstance(port, dict) else port)] if port and "name" in tree else []
    return own + [pair for each in tree.values() for pair in named(each)]


def test_traffic_is_led_to_ports_that_the_example_has() -> None:
    """And that the shipped network policy lets healthd reach for its own requests."""
    led = named(OBJECTS)
    assert {service for service, _ in led} == {"api-blue", "api-green"}
    assert [(service, port) for service, port in led if port not in ports_of(service)] == []
    (policy,) = [each for each in built("overlays/production") if each["kind"] == "NetworkPolicy"]
    rules = [rule for rule in policy["spec"]["egress"] if "'shop'" in str(rule["to"])]
    opened = {each["port"] for rule in rules for each in rule["ports"]}
    (ramp,) = [block.text for block in SHOWN if "on_ramp" in block.text]
    for url in YAML(typ="safe").load(ramp)["services"]["api"]["targets"].values():
        found = OWN_PORT.match(url)
        assert found, url
        assert int(found["port"] or 80) in ports_of(found["service"]) & opened, url


@pytest.mark.parametrize("name", ["production", "staging"])
def test_the_example_of_the_secret_has_every_variable(name: str) -> None:
    """Those without a default, each once; the page's command and kubectl read the file alike."""
    config = (FOLDER / f"overlays/{name}/config.yaml").read_text()
    lines = (FOLDER / f"overlays/{name}/example.env").read_text().splitlines()
    settings = [line.partition("=") for line in lines if not line.startswith("#")]
    assert sorted(key for key, _, _ in settings) == sorted(set(re.findall(r"\$\{([A-Z_]+)\}", config)))
    assert all(value and shlex.quote(value) in (value, f"'{value}'") for _, _, value in settings)
    assert not any(re.search(r"[\s'\"*]", value) for _, _, value in settings)


def test_the_first_look_at_the_configuration_works_as_it_is_written(tmp_path: Path) -> None:
    """Steps 3 and 4 of the page but for the cluster's own commands, without any other variable."""
    typed = [line for block in SHOWN if block.language == "sh" for line in block.text.splitlines()]
    (copied,) = [line for line in typed if line.startswith("cp ")]
    (checked,) = [line for line in typed if "healthd config check" in line]
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    env = {"PATH": f"{Path(sys.executable).parent}:{os.defpath}", "HOME": str(tmp_path)}
    done = subprocess.run(
        ["bash", "-ec", f"{copied}\n{checked}"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    assert re.fullmatch(r"\S+: valid; (\d+) of \1 checks run at level comprehensive\n", done.stdout), done.stdout


def test_no_secret_of_the_application_is_wanted() -> None:
    """healthd's Secret has what healthd uses, and no check looks there for what is the application's."""
    for name in ("production", "staging"):
        config = YAML(typ="safe").load(FOLDER / f"overlays/{name}/config.yaml")
        assert [each for each, check in config["checks"].items() if check["kind"] == "env"] == []
