"""What healthd is installed with: the installer for systemd, the configuration it begins with, the task of ECS."""

import asyncio
import json
import re
import subprocess
from pathlib import Path

import pytest
from botocore.session import Session
from botocore.validate import ParamValidator

from healthd.config.file import load
from healthd_gates.config.settings import Config
from tests.servers.ports import free_port
from tests.servers.programs import require

DEPLOY = Path(__file__).parents[3] / "deploy"
INSTALLER = DEPLOY / "systemd" / "install.sh"


def test_shellcheck_finds_nothing_in_the_installer() -> None:
    done = subprocess.run([require("shellcheck"), INSTALLER], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_installer_refuses_what_it_cannot_install(tmp_path: Path) -> None:
    """Before it changes anything."""
    for words in ([], ["healthd.whl"], ["healthd.whl", "absent.txt"]):
        env = {"PREFIX": str(tmp_path / "root"), "PATH": "/usr/bin:/bin"}
        done = subprocess.run([INSTALLER, *words], env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert "usage: install.sh WHEEL REQUIREMENTS" in done.stderr
    assert not (tmp_path / "root").exists()


def test_the_installer_puts_files_where_the_unit_looks() -> None:
    text, unit = INSTALLER.read_text(), (DEPLOY / "systemd/healthd.service").read_text()
    (program, config) = re.findall(r"ExecStart=(\S+) run --config (\S+)", unit)[0]
    assert f"ln -sf {program} " in text
    assert f"config=$root{config}\n" in text


def test_what_the_installer_begins_with_is_valid() -> None:
    config = load(DEPLOY / "systemd/config.yaml", Config, {})
    assert config.http.listen == "127.0.0.1:8080"


@pytest.mark.parametrize(("status", "healthy"), [("200 OK", True), ("503 Service Unavailable", False), ("", False)])
async def test_the_probe_of_a_container_asks_the_daemon(status: str, healthy: bool) -> None:
    """As docs/install.md shows it for where nothing else asks; without an answer it fails."""
    page = (DEPLOY.parent / "docs/install.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"(?m)^ +- (exec 3<>.*)$", page)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if status and (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /health/live HTTP/1.0\r\n"):
            writer.write(f"HTTP/1.0 {status}\r\n\r\n".encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", free_port())
    asked = command.replace("$$", "$").replace("8080", str(server.sockets[0].getsockname()[1]))
    process = await asyncio.create_subprocess_exec("bash", "-c", asked)
    assert (await process.wait() == 0) is healthy
    server.close()


def test_ecs_takes_the_task() -> None:
    """By the model of the API; and it is stopped later than the image drains."""
    task = json.loads((DEPLOY / "ecs/task-definition.json").read_text())
    shape = Session().get_service_model("ecs").operation_model("RegisterTaskDefinition").input_shape
    assert ParamValidator().validate(task, shape).generate_report() == ""
    (container,) = task["containerDefinitions"]
    assert {mount["sourceVolume"] for mount in container["mountPoints"]} == {each["name"] for each in task["volumes"]}
    image = load(DEPLOY.parent / "config/container.yaml", Config, {})
    assert container["stopTimeout"] > 2 * image.http.drain
    assert set(re.findall(r"local\.task\.(\w+)", (DEPLOY / "ecs/main.tf").read_text())) <= task.keys()


_INSTALLS = re.compile(
    r"""\b(?:pip3?|pipx|uvx?|npm|npx)\ [^#|;`]*?["'\ ]?\b(?<![\w./-])(healthd[\w-]*)(?=["'`\s\[=<>@]|$)"""
    r"""|install\ (healthd[\w-]*\[)"""
)


def test_nothing_installs_a_name_of_ours_from_an_index() -> None:
    """Neither a message nor a page, an example or a pipeline: until the first release it may be another's. A file or a
    folder is no such name."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=DEPLOY.parent, capture_output=True, text=True, check=True)
    names = [name for name in listed.stdout.split("\0") if name and not name.startswith(("tests/", "deploy/release/"))]
    found = {
        f"{name}: {line.strip()}"
        for name in names
        if (file := DEPLOY.parent / name).is_file() and file.suffix not in (".png", ".lock", ".woff2")
        for line in file.read_text(encoding="utf-8").splitlines()
        if _INSTALLS.search(line)
    }
    assert found == set()
    for line in (
        "pip install healthd",
        'uv pip install -q "healthd[aws]"',
        "npx healthd-gates",
        "the SDK: install healthd[aws]",
    ):
        assert _INSTALLS.search(line), line
    for line in (
        "pip install ./healthd-check",
        "npm install /path/to/healthd/clients/node",
        "pip install healthd-0.1.0.whl",
    ):
        assert not _INSTALLS.search(line), line
