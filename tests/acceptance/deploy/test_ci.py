"""The pipelines' own scripts, run step by step as their runners do, against a real daemon."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from ruamel.yaml import YAML

from tests.acceptance.deploy.components import COMPONENTS, Given, Step
from tests.servers import forked
from tests.servers.gating import POLICIES, Gating, gating
from tests.servers.ports import free_port
from tests.servers.waiting import until

FOLDER = Path(__file__).parents[3] / "deploy" / "ci"
pytestmark = pytest.mark.asyncio(loop_scope="module")
_VERDICTS = {"good": "open", "bad": "closed", "unclear": "held", "slow": "endless"}
OUR_OWN = "#!/bin/sh\necho $(basename $0) $1 >> done\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gates(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gating]:
    """Services called by the verdict of their gates, and one whose platform is unfit for a deploy."""
    unclear = {**POLICIES["held"], "inconclusive": "fail", "confirm_timeout": "1s"}
    policies = {**POLICIES, "held": unclear, "preflight": POLICIES["open"]}
    services = {name: {"source": {"kind": "push"}, "policy": policy} for name, policy in _VERDICTS.items()}
    live = {"source": {"kind": "push"}, "policy": "open", "on_fail": ["back"]}
    settings = {
        "policies": policies,
        "services": {**services, "live": live},
        "actions": {"back": {"kind": "command", "argv": ["true"]}},
    }
    async with gating(tmp_path_factory.mktemp("ci"), hooks={}, **settings) as running:
        yield running


@dataclass
class Runner:
    """A checkout with the user's own two scripts, and the environment of a job."""

    folder: Path
    environment: Mapping[str, str]
    codes: dict[str, int] = field(default_factory=dict)

    async def run(self, name: str, script: str) -> int:
        shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
        added = self.folder / "runner" / "path"
        places = self.environment["PATH"]
        if added.exists():
            places = f"{added.read_text().strip()}:{places}"
        process = await asyncio.create_subprocess_exec(
            *shell,
            cwd=self.folder,
            env={**self.environment, "PATH": places},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        print(out.decode())
        assert process.returncode is not None
        self.codes[name] = process.returncode
        return process.returncode

    def done(self) -> list[str]:
        file = self.folder / "done"
        return file.read_text().splitlines() if file.exists() else []

    def verdict(self) -> str:
        return str(json.loads((self.folder / "verdict.json").read_text())["verdict"])


def runner(folder: Path, gates: Gating, **variables: str) -> Runner:
    for name in ("deploy.sh", "promote.sh"):
        (folder / name).write_text(OUR_OWN)
        (folder / name).chmod(0o755)
    own = {"PATH": "/usr/bin:/bin", "HEALTHD_URL": gates.daemon.url, "HEALTHD_TOKEN": gates.tokens["ci"]}
    return Runner(folder, {**own, **variables})


def path() -> str:
    """Where a job looks for its programs."""
    return f"{forked.program('healthd').parent}:/usr/bin:/bin"


def zipapp(folder: Path) -> dict[str, str]:
    """The variables of a workflow that takes healthd's command from a file: here one that runs it from the tests'
    environment."""
    file = folder / "healthd.pyz"
    file.write_text(f'#!/bin/sh\nexec {forked.program("healthd")} "$@"\n')
    return {"vars.HEALTHD_ZIPAPP": file.as_uri(), "vars.HEALTHD_SHA256": sha256(file.read_bytes()).hexdigest()}


async def on_github(folder: Path, gates: Gating, service: str, version: str, run: str, **changed: str) -> Runner:
    """A run of the workflow: expressions filled in, a step left out once one failed unless it is to run always."""
    workflow = YAML(typ="safe").load(FOLDER / "github.yml")
    context = {"inputs.version": version, "github.run_id": run, "github.run_attempt": "1", "github.actor": "kim"}
    context |= {**zipapp(folder), "secrets.HEALTHD_TOKEN": gates.tokens["ci"], "vars.HEALTHD_URL": gates.daemon.url}
    context |= changed
    job = workflow["jobs"]["deploy"]
    environment = {**filled(workflow["env"], context), "SERVICE": service}
    (folder / "runner").mkdir()
    environment |= {"RUNNER_TEMP": str(folder / "runner"), "GITHUB_PATH": str(folder / "runner" / "path")}
    started = runner(folder, gates, **environment, HEALTHD_TOKEN="")
    failed = False
    for step in job["steps"]:
        if "run" in step and (not failed or step.get("if") == "always()"):
            of_step = Runner(folder, {**started.environment, **filled(step.get("env", {}), context)}, started.codes)
            failed = bool(await of_step.run(step["name"], step["run"])) or failed
    return started


def filled(environment: Mapping[str, object], context: Mapping[str, str]) -> dict[str, str]:
    """Its values with the expressions of GitHub filled in."""
    expression = re.compile(r"\$\{\{ (\S+) \}\}")
    return {
        name: expression.sub(lambda found: context.get(found[1], "x"), str(value))
        for name, value in environment.items()
    }


async def on_gitlab(folder: Path, gates: Gating, service: str, version: str, run: str) -> Runner:
    """A run of the pipeline: a stage is left out once one failed, unless it is to run always."""
    pipeline = YAML(typ="safe").load(FOLDER / "gitlab.yml")
    given = {"CI_PIPELINE_ID": run, "CI_JOB_ID": f"{run}1", "GITLAB_USER_LOGIN": "kim", "CI_PIPELINE_URL": "http://x"}
    own = {"VERSION": version, "SERVICE": service, "RUN_ID": f"gitlab-{run}"}
    assert own.keys() == pipeline["variables"].keys()
    started, failed = (
        runner(folder, gates, **given, **own, PATH=path()),
        False,
    )
    for stage in pipeline["stages"]:
        for name, job in pipeline.items():
            if isinstance(job, dict) and job.get("stage") == stage:
                always = [rule.get("when") for rule in job.get("rules", ())] == ["always"]
                if not failed or always:
                    failed = bool(await started.run(name, "\n".join(job["script"]))) or failed
    return started


Pipeline = Any
Component = Callable[[Given, Path], Step]
PIPELINES = [on_github, on_gitlab]


@pytest.mark.parametrize("pipeline", PIPELINES)
async def test_only_a_pass_is_promoted(gates: Gating, tmp_path: Path, pipeline: Pipeline) -> None:
    """The verdict is kept either way, and so is the lock given back."""
    for service, promoted, verdict in [("good", True, "pass"), ("bad", False, "fail")]:
        folder = tmp_path / service
        folder.mkdir()
        run = await pipeline(folder, gates, service, "1.4.2", f"{pipeline.__name__}-{service}")
        assert run.done() == ["deploy.sh 1.4.2", *(["promote.sh 1.4.2"] if promoted else [])]
        assert run.verdict() == verdict
        assert [code for code in run.codes.values() if code] == ([] if promoted else [1])
    async with gates.client() as client:
        assert not (await client.locks()).locks


@pytest.mark.parametrize("pipeline", PIPELINES)
async def test_it_is_run_again_for_the_live_version(gates: Gating, tmp_path: Path, pipeline: Pipeline) -> None:
    """As often as somebody presses the button: it is judged and promoted, and no rollback could take it away."""
    version = f"3.0-{pipeline.__name__.replace('_', '-')}"
    for attempt in ("first", "second"):
        folder = tmp_path / attempt
        folder.mkdir()
        run = await pipeline(folder, gates, "live", version, f"{pipeline.__name__}-{attempt}")
        assert run.done() == [f"deploy.sh {version}", f"promote.sh {version}"]
    mode = json.loads((folder / "verdict.json").read_text())["rollback_mode"]
    assert (mode, [code for code in run.codes.values() if code]) == ("off", [])


async def test_nothing_is_deployed_by_a_command_of_another_hash(gates: Gating, tmp_path: Path) -> None:
    run = await on_github(tmp_path, gates, "good", "1.5.1", "hash", **{"vars.HEALTHD_SHA256": "0" * 64})
    assert run.done() == []
    assert run.codes["Install healthd's command"] == 1
    assert "Gate" not in run.codes


@pytest.mark.parametrize("pipeline", PIPELINES)
async def test_nothing_is_deployed_under_the_lock_of_another(gates: Gating, tmp_path: Path, pipeline: Pipeline) -> None:
    """Exit code 3, and the other one's lock stays."""
    async with gates.client() as client:
        await client.lock("good", "somebody", 600.0, "a drill")
        run = await pipeline(tmp_path, gates, "good", "1.5.0", "second")
        assert run.done() == []
        assert [code for code in run.codes.values() if code] == [3]
        assert [held.holder for held in (await client.locks()).locks] == ["somebody"]
        await client.unlock("good", "somebody")


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.__name__)
async def test_a_component_ends_as_the_gate_does(gates: Gating, tmp_path: Path, component: Component) -> None:
    """And keeps the verdict; a gate that it cannot ask about is no pass."""
    for service, version, code in [("good", "1.6.0", 0), ("bad", "1.6.0", 1), ("no such", "1.6.0", 3)]:
        folder = tmp_path / service
        folder.mkdir()
        given = {"url": gates.daemon.url, "token": gates.tokens["ci"], "service": service, "version": version}
        script, env = component({**given, "key": f"{component.__name__}-{service}"}, folder)
        ours = runner(folder, gates, **env, PATH=path())
        assert await ours.run(service, script) == code
        if code != 3:
            (kept,) = folder.glob("verdict*.json")
            assert json.loads(kept.read_text())["verdict"] == {0: "pass", 1: "fail"}[code]


async def test_the_program_of_the_page_ends_as_the_command_does(gates: Gating, tmp_path: Path) -> None:
    """With the client in Python, as docs/embedding.md shows it."""
    page = (FOLDER.parents[1] / "docs/embedding.md").read_text(encoding="utf-8")
    (text,) = [text for text in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "GateClient" in text]
    (tmp_path / "gate.py").write_text(text)
    for service, code in (("good", 0), ("bad", 1)):
        assert await runner(tmp_path, gates).run(service, f"{sys.executable} gate.py {service} 1.7.0") == code


async def by_curl(folder: Path, gates: Gating, *words: str, **variables: str) -> tuple[Runner, int]:
    started = runner(folder, gates, **variables)
    return started, await started.run("gate", f"{FOLDER / 'gate.sh'} {' '.join(words)}")


@pytest.mark.parametrize(
    ("service", "code", "verdict"), [("good", 0, "pass"), ("bad", 1, "fail"), ("unclear", 2, "inconclusive")]
)
async def test_curl_alone_ends_as_the_command_does(
    gates: Gating, tmp_path: Path, service: str, code: int, verdict: str
) -> None:
    """The same exit codes, and the gate's JSON."""
    run, ended = await by_curl(tmp_path, gates, service, "1.0", f"curl-{service}")
    assert (ended, run.verdict()) == (code, verdict)


async def test_curl_alone_could_not_ask(gates: Gating, tmp_path: Path) -> None:
    """A wrong token, an unknown service, a daemon that is not there, something that is no name: never a verdict."""
    wrong = {"HEALTHD_TOKEN": "no-token"}
    nowhere = {"HEALTHD_URL": f"http://127.0.0.1:{free_port()}", "RETRY_FOR": "1"}
    assert (await by_curl(tmp_path, gates, "good", "1.0", "a", **wrong))[1] == 3
    assert (await by_curl(tmp_path, gates, "nothing", "1.0", "b"))[1] == 3
    assert (await by_curl(tmp_path, gates, "good", "1.0", "c", **nowhere))[1] == 3
    assert (await by_curl(tmp_path, gates, "good", "'1\"0'", "d"))[1] == 3
    assert (await by_curl(tmp_path, gates, "good", "''", "e"))[1] == 3
    assert (await by_curl(tmp_path, gates, "good", "1.0", "f", BASELINE_TARGET="blue"))[1] == 3


async def test_curl_alone_waits_and_shows_its_token_to_nobody(gates: Gating, tmp_path: Path) -> None:
    """While the gate runs no process has the token in its arguments; cancelled, it is no pass."""
    started = runner(tmp_path, gates)
    waiting = asyncio.create_task(started.run("gate", f"{FOLDER / 'gate.sh'} slow 1.0 slowly"))
    async with gates.client() as client:
        gate = None

        async def begun() -> bool:
            nonlocal gate
            found = (await client.gates(service="slow")).gates
            gate = found[0] if found else None
            return gate is not None

        await until(begun, "the gate")
        assert gate is not None
        shown = [_read(file) for file in Path("/proc").glob("[0-9]*/cmdline")]
        assert any(b"/gates/verify" in line for line in shown)
        assert not [line for line in shown if gates.tokens["ci"].encode() in line]
        await client.cancel(gate.id, "enough")
    assert await waiting == 2


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # the process has ended
        return b""
