"""The wheel: installed into a clean environment, it carries its examples, and works in a folder full of other packages.

A service's repository often has packages of its own that are called deploy, gates, config or tests. Here each of them
fails when it is imported.
"""

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from healthd.commands import shipped
from tests.acceptance import first_gate
from tests.servers.ports import free_port

ROOT = Path(__file__).parents[2]
OTHERS = ("bench", "config", "deploy", "docs", "gates", "grafana", "tests")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def bin_folder(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a virtual environment that has the wheel, and what it depends on from the environment of the
    tests, whose own healthd it does not see."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--offline", "--no-deps"]
    subprocess.run([*uv, "--python", str(python), str(wheel)], check=True)
    site = sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)})
    Path(site, "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return python.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of somebody's."""
    home = tmp_path_factory.mktemp("service")
    for name in OTHERS:
        (home / name).mkdir()
        (home / name / "__init__.py").write_text(f"raise RuntimeError('{name} is a package of the user')\n")
    return home


def run(program: Path, *words: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """A command with the folder's packages before all others."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("HEALTHD_", "PYTHON"))}
    return subprocess.run(
        [program, *map(str, words)],
        cwd=cwd,
        env={**own, "PYTHONPATH": ".", "COLUMNS": "120", **env},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_the_wheel_brings_no_generic_name(wheel: Path) -> None:
    """And no file twice, no cache, no secret."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"healthd", "healthd_gates", "healthd_deploy"}
    carried = {name.removeprefix("healthd/shipped/") for name in names if name.startswith("healthd/shipped/")}
    assert carried == {str(file) for file in shipped.files()}
    assert {path for path, _ in shipped.NAMES.values()} <= carried


def test_the_build_carries_what_is_read() -> None:
    """The two lists of what ships agree."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    forced = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert forced == {place: f"healthd/shipped/{place}" for place in shipped.PLACES}


def test_examples_are_printed_as_they_are_in_the_repository(bin_folder: Path, folder: Path) -> None:
    """From any folder, one by one or all at once; a name that is not there is refused with the nearest."""
    listed = run(bin_folder / "healthd", "config", "example", cwd=folder)
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(shipped.NAMES)
    for name in ("full", "grafana-overview", "prometheus-rules"):
        printed = run(bin_folder / "healthd", "config", "example", name, cwd=folder)
        assert printed.stdout == shipped.read(name)  # here that of the checkout
        whole = (ROOT / shipped.NAMES[name][0]).read_text(encoding="utf-8")
        lines = zip(printed.stdout.splitlines(), whole.splitlines(), strict=True)
        assert [ours for ours, theirs in lines if ours != theirs and "$schema=" not in ours] == []
    refused = run(bin_folder / "healthd", "config", "example", "fulll", cwd=folder)
    assert (refused.returncode, "Did you mean full?" in refused.stderr) == (2, True)
    assert run(bin_folder / "healthd", "config", "example", "--into", "here", cwd=folder).returncode == 0
    assert (folder / "here/deploy/ci/gate.sh").stat().st_mode & 0o100
    again = run(bin_folder / "healthd", "config", "example", "--into", "here", cwd=folder)
    assert (again.returncode, "nothing was written" in again.stderr) == (2, True)
    schema = run(bin_folder / "healthd", "config", "schema", cwd=folder)
    assert json.loads(schema.stdout)["title"] == "healthd configuration"


EVERY_COMMAND = """
import sys
import click
from click.testing import CliRunner
from healthd.cli import main as healthd
from healthd_deploy.cli import main as healthd_deploy

GIVEN = {"file": "here.yaml", "shell": "bash", "service": "api", "gate_id": "abcd1234", "target": "blue", "rate": "50"}
QUICK = {"retry_for": "1", "runs": "10", "timeout": "1", "wait_timeout": "1"}
URL = "http://127.0.0.1:9"

def leaves(group, words):
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        yield from leaves(command, [*words, name]) if isinstance(command, click.Group) else [([*words, name], command)]

def value(parameter):
    if isinstance(parameter.type, click.Choice):
        return str(parameter.type.choices[0])
    return GIVEN.get(parameter.name, "1")

def call(command):
    for parameter in command.params:
        if isinstance(parameter, click.Argument) and parameter.required:
            yield value(parameter)
        elif parameter.name in QUICK:
            yield from (parameter.opts[0], QUICK[parameter.name])
        elif parameter.required:
            yield from (parameter.opts[0], value(parameter))

failed = []
for main, name in ((healthd, "healthd"), (healthd_deploy, "healthd-deploy")):
    for words, command in leaves(main, []):
        own = [] if words == ["run"] else [list(call(command))]
        for more in (["--help"], *own):
            done = CliRunner(env={"HEALTHD_URL": URL, "HEALTHD_CONFIG": None}).invoke(main, [*words, *more])
            print(name, *words, *more, "->", done.exit_code)
            odd = done.exception is not None and not isinstance(done.exception, SystemExit)
            if odd or done.exit_code not in ((0,) if more == ["--help"] else (0, 1, 2, 3)):
                failed.append(([name, *words, *more], done.exit_code, repr(done.exception), done.output))
for each in failed:
    print(*each, file=sys.stderr)
sys.exit(bool(failed))
"""


def test_every_command_works_beside_packages_of_the_same_names(bin_folder: Path, folder: Path) -> None:
    """Its help, and a call of it, which may be refused but not break."""
    (folder / "here.yaml").write_text((ROOT / "config/examples/minimal.yaml").read_text(encoding="utf-8"))
    done = run(bin_folder / "python", "-c", EVERY_COMMAND, cwd=folder)
    assert done.returncode == 0, done.stderr[-4000:]
    assert {"healthd run --help -> 0", "healthd-deploy nginx switch --help -> 0"} <= set(done.stdout.splitlines())


@pytest.mark.parametrize("words", [["healthd"], ["healthd-deploy"], ["python", "-m", "healthd"]], ids=" ".join)
def test_the_programs_start_there(words: list[str], bin_folder: Path, folder: Path) -> None:
    """By their names, and as a module, for which Python looks into the folder first."""
    done = run(bin_folder / words[0], *words[1:], "--help", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_quickstart_leads_to_a_first_gate(bin_folder: Path, tmp_path: Path) -> None:
    """Whoever installed the wheel and follows the page sees what it shows."""
    first_gate.is_reached(tmp_path, bin_folder)


def test_the_daemon_starts_there(bin_folder: Path, folder: Path) -> None:
    """With the image's own configuration and no variable but its port: it is healthy, and says so."""
    text = shipped.read("docker").replace("/var/lib/healthd/healthd.db", str(folder / "journal.db"))
    (folder / "image.yaml").write_text(text.replace("path: /var/lib/healthd", f"path: {folder}"))
    port = free_port()
    address = {"HEALTHD_LISTEN": f"127.0.0.1:{port}"}
    program = [str(bin_folder / "python"), "-m", "healthd", "run", "--config", "image.yaml"]
    own = {name: value for name, value in os.environ.items() if not name.startswith(("HEALTHD_", "PYTHON"))}
    env = {**own, "PYTHONPATH": ".", **address}
    with subprocess.Popen(program, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as daemon:
        try:
            for _ in range(100):
                asked = run(
                    bin_folder / "healthd", "status", f"http://127.0.0.1:{port}", "--group", "ready", cwd=folder
                )
                if asked.returncode == 0:
                    break
        finally:
            daemon.terminate()
            told, _ = daemon.communicate(timeout=60)
    assert asked.returncode == 0, told
    warnings = [line for line in told.decode().splitlines() if '"warning"' in line]
    assert len(warnings) == 1, told
    assert "no token is configured" in warnings[0]
