"""The Compose file and all that it mounts, as the programs that read them see them."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from healthd.config.file import load
from healthd.web.auth import hash_token
from healthd_deploy.nginx.settings import NginxConfig
from healthd_gates.config.settings import Config
from tests.servers.programs import require
from tests.unit.shipped import foreign

FOLDER = Path(__file__).parents[4] / "deploy" / "compose"
ONCE = {"switch"}
"""Services that end by themselves."""


@cache
def composed() -> dict[str, Any]:
    """The file as `docker compose` understands it, variables filled in."""
    file = str(FOLDER / "compose.yaml")
    command = [str(require("docker-compose")), "--file", file, "config", "--format=json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "level=warning" not in done.stderr, done.stderr
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


SERVICES = (
    sorted(composed()["services"]) if shutil.which("docker-compose", path=str(Path(sys.executable).parent)) else []
)


def mounts(service: str) -> Iterator[dict[str, Any]]:
    yield from composed()["services"][service].get("volumes", ())


def passes(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_specification_takes_it() -> None:
    """The schema of the Compose specification, as well as Compose itself."""
    assert composed()["name"] == "healthd"
    foreign.passes("compose-spec", (FOLDER / "compose.yaml").read_text())


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_held_tight(name: str) -> None:
    """No privileges, no host's namespace, no port beyond the loopback interface, an exact version."""
    service = composed()["services"][name]
    assert not service.get("privileged")
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not {"pid", "ipc", "devices", "userns_mode"} & service.keys()
    assert service.get("network_mode") in (None, "none")
    assert service.get("read_only") or name in ONCE
    assert service.get("mem_limit") or name in ONCE
    assert {port["host_ip"] for port in service.get("ports", ())} <= {"127.0.0.1"}
    image, _, tag = service["image"].partition(":")
    assert image == "healthd" or re.match(r"v?\d+\.\d+", tag), tag
    assert not [mount for mount in mounts(name) if "docker.sock" in mount.get("source", "")]


@pytest.mark.parametrize("name", sorted({*SERVICES} - ONCE - {"customers"}))
def test_each_service_says_whether_it_is_well(name: str) -> None:
    """So that `up --wait` means something, and what depends on it can wait for it."""
    assert composed()["services"][name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_is_there(name: str) -> None:
    """Every file and folder of this repository, and read-only."""
    for mount in (each for each in mounts(name) if each["type"] == "bind"):
        assert Path(mount["source"]).exists()
        assert mount["read_only"]


def test_secrets_are_files_of_their_own(tmp_path: Path) -> None:
    """Made by a script, once, readable in a container and for nobody else on the host; not one in the Compose file."""
    shutil.copy(FOLDER / "secrets.sh", tmp_path)
    passes("bash", tmp_path / "secrets.sh")
    names = {Path(each["file"]).name for each in composed()["secrets"].values()}
    made = {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()}
    assert made.keys() == names
    assert made["healthd_token_hash"] == hash_token(made["healthd_token"])
    assert {len(text) for name, text in made.items() if not name.endswith("_hash")} == {32}
    assert len(set(made.values())) == len(made)
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    passes("bash", tmp_path / "secrets.sh")
    assert {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()} == made
    environments = [service.get("environment") or {} for service in composed()["services"].values()]
    assert not [name for each in environments for name in each if "PASSWORD" in name and not name.endswith("_FILE")]


@pytest.mark.parametrize("name", ["secrets.sh", "nginx/run.sh"])
def test_shellcheck_finds_nothing(name: str) -> None:
    """In the scripts."""
    passes(require("shellcheck"), FOLDER / name)


def test_healthd_takes_its_configuration(tmp_path: Path) -> None:
    """With the secrets where Compose puts them, and every service that it names in the Compose file."""
    text = (FOLDER / "healthd" / "healthd.yaml").read_text()
    for name in composed()["secrets"]:
        (tmp_path / name).write_text(hash_token("secret") if name.endswith("_hash") else "secret")
        text = text.replace(f"/run/secrets/{name}", str(tmp_path / name))
    assert "/run/secrets" not in text
    file = tmp_path / "healthd.yaml"
    file.write_text(text)
    config = load(file, Config, {})
    grace = composed()["services"]["healthd"]["stop_grace_period"]
    assert config.http.drain + 20 <= float(grace.removesuffix("s"))
    file.write_text((FOLDER / "healthd" / "deploy.yaml").read_text().replace("/run/secrets", str(tmp_path)))
    deploy = load(file, NginxConfig, {})
    assert deploy.healthd.token is not None
    assert config.auth.tokens[0].hash.get_secret_value() == hash_token(deploy.healthd.token.get_secret_value())
    servers = {name: list(addresses) for name, addresses in deploy.upstream.targets.items()}
    assert servers == {name: [f"shop-{name}:3000"] for name in config.services["shop"].targets}
    assert {f"shop-{name}" for name in servers} <= {*SERVICES}


def test_prometheus_and_alertmanager_take_theirs(tmp_path: Path) -> None:
    """With the rules beside it, as they are mounted."""
    for mount in (each for each in mounts("prometheus") if each["type"] == "bind"):
        shutil.copy(mount["source"], tmp_path / Path(mount["target"]).name)
    passes(require("promtool"), "check", "config", tmp_path / "prometheus.yml")
    (alertmanager,) = [each["source"] for each in mounts("alertmanager") if each["type"] == "bind"]
    passes(require("amtool"), "check-config", Path(alertmanager))
