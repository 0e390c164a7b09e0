"""Checks of other packages: the documentation's example installed and run, and packages that are wrong."""

import asyncio
import importlib
import json
import re
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from healthd.model import FailureKind
from tests.servers import daemon, memcached
from tests.servers.command import Outcome, healthd
from tests.servers.zygote import PACKAGES

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = DOCS / "extending" / "healthd-check-memcached"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which pip installed the example."""
    folder = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source")
    for file in EXAMPLE.iterdir():
        if file.is_file():
            (source / file.name).write_bytes(file.read_bytes())  # a build may leave files beside the sources
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", folder, source], check=True)
    return folder


def packaged(folder: Path, name: str, points: str, code: str = "", group: str = "healthd.checks") -> None:
    """A package as pip leaves it behind."""
    module = name.replace("-", "_")
    (folder / f"{module}.py").write_text(code)
    info = folder / f"{module}-2.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.1\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{points}\n")


def with_packages(folder: Path, *words: object) -> Outcome:
    return healthd(*words, env={PACKAGES: str(folder)})


def test_documentation_shows_the_example() -> None:
    """The code and the entry point in docs/extending.md are the package's."""
    shown = (DOCS / "extending.md").read_text(encoding="utf-8")
    code, project = (EXAMPLE / name for name in ("healthd_check_memcached.py", "pyproject.toml"))
    assert code.read_text(encoding="utf-8") in shown
    (entry_point,) = re.findall(r"^\[project\.entry-points.+\n.+\n", project.read_text(), re.MULTILINE)
    assert entry_point in shown


def test_example_runs(installed: Path, tmp_path: Path) -> None:
    """Installed by pip, its kind is checked like every other: healthy, short of connections, full, frozen, gone."""
    file = tmp_path / "healthd.yaml"
    with memcached.running(connections=100) as server, ExitStack() as clients:
        file.write_text(f"checks: {{cache: {{kind: memcached, port: {server.port}, timeout: 3s}}}}")

        def found() -> dict[str, object]:
            document: dict[str, object] = with_packages(installed, "check", "--json", "-c", file).json()["cache"]
            return document

        def standing() -> tuple[object, object]:
            document = found()
            return document["status"], document.get("kind")

        healthy = found()
        assert healthy["status"] == "healthy"
        assert healthy["connectionsAllowed"] == 100
        for status, others in (("degraded", 82), ("unhealthy", 15)):  # it keeps some for itself
            for _ in range(others):
                clients.enter_context(socket.create_connection((server.host, server.port)))
            assert standing() == (status, "exhausted")
        clients.close()
        server.pause()
        assert standing() == ("unhealthy", "timeout")
        server.kill()
        assert standing() == ("unhealthy", "connect")


def test_full_server_is_told_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server at its limit resets what it has not read: its word is kept, however the two race."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    example: Any = importlib.import_module("healthd_check_memcached")

    async def probed(port: int) -> set[object]:
        check = example.Memcached(example.MemcachedConfig(port=port), None)
        return {(await check.probe()).kind for _ in range(300)}

    with memcached.running(connections=100) as server, ExitStack() as clients:
        for _ in range(98):
            clients.enter_context(socket.create_connection((server.host, server.port)))
        assert asyncio.run(probed(server.port)) == {FailureKind.EXHAUSTED}


def test_example_is_in_the_schema(installed: Path) -> None:
    """Editors complete its options."""
    schema = with_packages(installed, "config", "schema").json()
    assert "degraded" in schema["$defs"]["MemcachedConfig"]["properties"]
    assert '{"const": "memcached"}' in json.dumps(schema["properties"]["checks"])


def test_wrong_option_of_the_example(installed: Path, tmp_path: Path) -> None:
    """Its configuration is validated with line and key."""
    file = tmp_path / "healthd.yaml"
    file.write_text("checks:\n  cache:\n    kind: memcached\n    prot: 11211\n")
    done = with_packages(installed, "config", "check", file)
    assert done.code == 2
    assert done.err.startswith(f"{file}:4: checks.cache.prot: no such option")


def test_packages_that_cannot_be_used(tmp_path: Path) -> None:
    """Each is refused by name where its kind is configured, with one line and no traceback; the others run."""
    packaged(tmp_path, "lacks-a-driver", "queue = lacks_a_driver:Queue", "import no_such_driver")
    packaged(tmp_path, "no-check", "thing = no_check:Thing", "class Thing: pass")
    packaged(tmp_path, "exits", "leaver = exits:Leaver", "raise SystemExit('licence expired')")
    packaged(tmp_path, "rival", "redis = rival:Redis\nprocess2 = rival:Redis", "class Redis: pass")
    packaged(tmp_path, "twin-a", "twin = twin_a:Twin")
    packaged(tmp_path, "twin-b", "twin = twin_b:Twin")
    file = tmp_path / "healthd.yaml"
    kinds = ["queue", "thing", "leaver", "redis", "twin"]
    file.write_text("checks:\n" + "".join(f"  {kind}: {{kind: {kind}, uri: 'redis://localhost'}}\n" for kind in kinds))
    done = with_packages(tmp_path, "config", "check", file)
    assert done.code == 2
    assert [line.partition("cannot be loaded: ")[2] for line in done.err.splitlines()] == [
        "package lacks-a-driver 2.1 is broken: lacks_a_driver:Queue: "
        "ModuleNotFoundError: No module named 'no_such_driver'",
        "package no-check 2.1 is broken: no_check:Thing has no config_model "
        "that is a subclass of healthd.checks.contract.CheckConfig",
        "package exits 2.1 is broken: exits:Leaver: SystemExit: licence expired",
        "it is built in, and package rival 2.1 brings another of that name: uninstall it, or have it renamed",
        "several packages bring it, package twin-a 2.1 and package twin-b 2.1: uninstall all but one",
    ]
    file.write_text("checks: {self: {kind: process}}")
    assert with_packages(tmp_path, "check", "--config", file).code == 0
    assert with_packages(tmp_path, "config", "schema").code == 0


OTHERS = {
    "source": """
from typing import Literal
from healthd_gates.sources.contract import Look, SourceConfig

class LedgerConfig(SourceConfig):
    kind: Literal["ledger"] = "ledger"
    book: str
    timeout: float = 1.0

class Ledger:
    config_model = LedgerConfig
    def __init__(self, config, arms, context): ...
    async def observe(self, since): return Look(None, {})
    async def close(self): ...
""",
    "action": """
from typing import Literal
from healthd_gates.actions.contract import ActionConfig, ActionResult, Ending

class LedgerConfig(ActionConfig):
    kind: Literal["ledger"] = "ledger"
    book: str

class Ledger:
    config_model = LedgerConfig
    def __init__(self, config, context): ...
    async def execute(self, order): return ActionResult(Ending.DONE)
    async def describe(self, order): return "writes it down"
    async def close(self): ...
""",
    "notifier": """
from typing import Literal
from healthd.notifiers.contract import NotifierConfig

class LedgerConfig(NotifierConfig):
    kind: Literal["ledger"] = "ledger"
    book: str

class Ledger:
    config_model = LedgerConfig
    def __init__(self, config, context): ...
    async def send(self, notices): ...
""",
}


def test_sources_actions_and_notifiers_of_other_packages(tmp_path: Path) -> None:
    """They are configured like those that ship, and their mistakes are named as those are."""
    for what, code in OTHERS.items():
        packaged(tmp_path, f"ledger-{what}", f"ledger = ledger_{what}:Ledger", code, f"healthd.{what}s")
    file = tmp_path / "healthd.yaml"
    text = (
        "actions:\n  note: {kind: ledger, book: red}\n"
        "notifiers:\n  diary: {kind: ledger, book: blue}\n"
        "services:\n  shop:\n    source: {kind: ledger, book: green}\n    on_fail: [note]\n"
    )
    file.write_text(text)
    done = with_packages(tmp_path, "config", "check", file)
    assert (done.code, done.err) == (0, "")
    file.write_text(text.replace("book: red", "bok: red"))
    refused = with_packages(tmp_path, "config", "check", file)
    assert refused.code == 2
    assert f"{file}:2: actions.note.bok: no such option; did you mean book?" in refused.err
    file.write_text("notifiers: {diary: {kind: legder, book: blue}}")
    assert "did you mean ledger?" in with_packages(tmp_path, "config", "check", file).err


def shown(first_line: str) -> str:
    """The block of code in docs/extending.md that begins so."""
    (block,) = re.findall(
        rf"```python\n({re.escape(first_line)}.*?)```", (DOCS / "extending.md").read_text(), re.DOTALL
    )
    return str(block)


async def test_criterion_of_another_package_decides_a_gate(tmp_path: Path) -> None:
    """The documentation's example: configured in a policy, asked at every look, and what it says is the verdict."""
    code = shown('"""A criterion: how many messages wait')
    packaged(tmp_path, "queue-criterion", "queue = queue_criterion:Queue", code, "healthd.criteria")
    criteria = [{"kind": "queue", "most": 100, "failures": 1, "file": str(tmp_path / "depth")}]
    policy = {"initial_delay": "0s", "interval": "1s", "observe": {"min": "0s", "max": "1m"}, "criteria": criteria}
    configuration = {
        "journal": f"sqlite:///{tmp_path}/healthd.db",
        "policies": {"drained": policy},
        "services": {"api": {"policy": "drained"}},
    }
    file = tmp_path / "healthd.yaml"
    file.write_text(json.dumps(configuration).replace('"most"', '"mots"'))
    refused = with_packages(tmp_path, "config", "check", file)
    assert "policies.drained.criteria.0.mots: no such option; did you mean most?" in refused.err
    schema = with_packages(tmp_path, "config", "schema").json()
    assert "most" in schema["$defs"]["Queue"]["properties"]
    async with daemon.running(configuration, env={PACKAGES: str(tmp_path)}) as running, ClientSession() as session:

        async def verdict(version: str) -> tuple[int, dict[str, Any]]:
            body = {"service": "api", "candidate": {"version": version}}
            url = f"{running.url}/gates/verify?wait=60s"
            async with session.post(url, json=body, headers=daemon.AUTHORIZED) as answer:
                return answer.status, await answer.json()

        (tmp_path / "depth").write_text("7")
        while (passed := await verdict("1.0.0"))[0] == 503:  # the journal is being made
            await asyncio.sleep(0.2)
        assert passed[0] == 200
        (tmp_path / "depth").write_text("4000")
        status, document = await verdict("1.1.0")
        assert status == 412
        (report,) = document["standing"]["criteria"]
        assert (report["name"], report["finding"]) == ("queue", "harm")
        assert "4000 messages wait, and 100 may" in report["sentence"]


DIALECT = """
from typing import Literal
from pydantic import BaseModel
from healthd_gates.api.operation import Answer, Operation
from healthd_gates.api.responses import answer
from healthd_gates.config.hooks.contract import Deploys, HookConfig
from healthd_gates.hooks.contract import SCOPE, Run, Told

class LedgerConfig(HookConfig):
    kind: Literal["ledger"] = "ledger"
    entry: Deploys

    def deploys(self):
        return (self.entry,)

class Entered(BaseModel):
    version: str

class Ledger:
    config_model = LedgerConfig

    def __init__(self, runs):
        self._runs = runs

    def operations(self):
        answers = {200: Answer("The gate of the version.", Told)}
        summary = "Enter a version into the ledger."
        return [Operation("ledger_enter", "POST", "/hooks/{hook}/entered", SCOPE, summary, self._enter, answers,
                          body=Entered)]

    async def _enter(self, call):
        entry = self._runs.hook(LedgerConfig, call.hook).entry
        run = Run(call.hook, "ledger", call.body.version, entry, call.caller.name)
        return answer(Told.of(await self._runs.begin(run, call.body.version)))
"""


async def test_dialect_of_another_package_starts_a_gate(tmp_path: Path) -> None:
    """Its route is served and described like those that ship; what it asks of is in the configuration, and checked."""
    packaged(tmp_path, "ledger-dialect", "ledger = ledger_dialect:Ledger", DIALECT, "healthd.hooks")
    configuration = {
        "journal": f"sqlite:///{tmp_path}/healthd.db",
        "services": {"shop": {"policy": "smoke"}},
        "policies": {"smoke": {"initial_delay": "0s", "criteria": [{"kind": "checks", "checks": ["self"]}]}},
        "checks": {"self": {"kind": "process"}},
        "hooks": {"books": {"kind": "ledger", "entry": {"service": "shop"}}},
    }
    file = tmp_path / "healthd.yaml"
    file.write_text(json.dumps(configuration).replace('"service": "shop"', '"service": "shpo"'))
    refused = with_packages(tmp_path, "config", "check", file)
    assert refused.code == 2
    assert "hooks.books: names 'shpo', which is not under services; did you mean shop?" in refused.err
    async with daemon.running(configuration, env={PACKAGES: str(tmp_path)}) as running, ClientSession() as session:

        async def entered(version: str) -> tuple[int, dict[str, Any]]:
            url = f"{running.url}/hooks/books/entered"
            async with session.post(url, json={"version": version}, headers=daemon.AUTHORIZED) as answer:
                return answer.status, await answer.json()

        while (first := await entered("1.0.0"))[0] == 503:  # the journal is being made
            await asyncio.sleep(0.2)
        assert first[0] == 200
        assert (await entered("1.0.0"))[1]["gate"] == first[1]["gate"]
        async with session.get(f"{running.url}/gates/{first[1]['gate']}", headers=daemon.AUTHORIZED) as answer:
            assert (await answer.json())["caller"] == "hook:books"
        async with session.get(f"{running.url}/openapi.json", headers=daemon.AUTHORIZED) as answer:
            assert "/hooks/{hook}/entered" in (await answer.json())["paths"]


FAULTY = """
from healthd.checks.contract import CheckConfig
from pydantic import model_validator

class Config(CheckConfig):
    password: str

    @model_validator(mode="after")
    def _fails(self):
        raise KeyError(self.password)

class Reads:
    config_model = Config
    async def probe(self): ...
    async def close(self): ...

class Built(Reads):
    config_model = CheckConfig
    def __init__(self, config, context):
        raise RuntimeError("no licence")

class Answers(Reads):
    config_model = CheckConfig
    def __init__(self, config, context): ...
    async def probe(self):
        return True
"""


def test_checks_that_fail_in_use(tmp_path: Path) -> None:
    """A validator that crashes is a refusal that quotes nothing; a check that cannot be built, or answers with
    something else than a Result, is red by itself."""
    points = "reads = faulty:Reads\nbuilt = faulty:Built\nanswers = faulty:Answers"
    packaged(tmp_path, "faulty", points, FAULTY)
    file = tmp_path / "healthd.yaml"
    file.write_text("checks: {a: {kind: reads, password: p4ssw0rd}}")
    refused = with_packages(tmp_path, "check", "--config", file)
    assert refused.code == 2
    assert refused.err == f"{file}:1: checks.a: kind 'reads' fails to read its options: KeyError\n"
    file.write_text("checks: {self: {kind: process}, built: {kind: built}, answers: {kind: answers}}")
    found = with_packages(tmp_path, "check", "--json", "--config", file)
    assert found.code == 1
    document = found.json()
    assert document["self"]["status"] == "healthy"
    assert (document["built"]["kind"], document["built"]["message"]) == (
        "misconfigured",
        "cannot be built: RuntimeError: no licence",
    )
    assert (document["answers"]["status"], document["answers"]["kind"]) == ("unhealthy", "internal")
