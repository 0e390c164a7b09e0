"""A stage for gates in virtual time: a source that follows a script, and a gate service on a real SQLite file."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal

from prometheus_client import CollectorRegistry

from healthd.config.in_force import InForce
from healthd.journal import tables as journal_tables
from healthd.journal.database import Database
from healthd.model import FailureKind
from healthd.monitoring.board import Board
from healthd.runtime.clock import Clock
from healthd.runtime.events import set_within
from healthd_gates.actions.contract import ActionConfig, ActionContext, ActionRequest, ActionResult
from healthd_gates.app import Gates, Listener
from healthd_gates.config.settings import Config
from healthd_gates.domain.evidence import Counts, Evidence
from healthd_gates.domain.gate import Gate
from healthd_gates.domain.request import VerifyRequest, Version
from healthd_gates.engine.service import GateService
from healthd_gates.sources.contract import Cursor, Look, SourceConfig, SourceUnavailable
from healthd_gates.sources.inspection import Inspection
from healthd_gates.store import tables as gate_tables
from tests.fakes.monitoring import LoopClock

Act = Callable[[float], Any]
"""Seconds since the source was first asked → Counts of the candidate for one interval, a pair of Counts with the
baseline's, whole evidence, an exception, or a coroutine."""


def healthy(_seconds: float) -> Counts:
    """A thousand requests without an error."""
    return Counts(1000, 0)


def broken(_seconds: float) -> Counts:
    """Every other request fails."""
    return Counts(1000, 500)


def failing(_seconds: float) -> Counts:
    """Nothing works."""
    return Counts(1000, 1000)


def silent(_seconds: float) -> Counts:
    """Nobody calls."""
    return Counts(0, 0)


def unreachable(_seconds: float) -> Counts:
    raise SourceUnavailable(FailureKind.CONNECT, "connection refused")


def unasked(_seconds: float) -> Counts:
    raise SourceUnavailable(FailureKind.TIMEOUT, "prometheus:9090 did not answer within 5 s", unasked=True)


async def hanging(_seconds: float) -> Counts:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


def later(at: float, before: Act, after: Act) -> Act:
    """`before` until `at` seconds have passed, `after` from then on."""
    return lambda seconds: (before if seconds < at else after)(seconds)


class Script:
    """What scripted sources say; one for all gates of a test. `asked` counts the looks."""

    act: ClassVar[Act] = healthy
    asked: ClassVar[int] = 0


class ScriptedConfig(SourceConfig):
    kind: Literal["scripted"] = "scripted"
    selector: str = ""
    """Text of a selector, which nothing reads: with `$version` in it the source follows the version."""

    def check_split(self, label: str) -> None: ...

    def check_latency_split(self, label: str) -> None: ...


class Scripted:
    """A source whose cursor is the time of its first look."""

    config_model: ClassVar[type[SourceConfig]] = ScriptedConfig

    def __init__(self, config: ScriptedConfig, arms: Any, context: Any) -> None:
        self._clock: Clock = context.clock
        self.act: Act | None = None

    async def observe(self, since: Cursor | None) -> Look:
        Script.asked += 1
        now = self._clock.now().timestamp()
        if since is None:
            return Look(None, {"start": now})
        said = (self.act or Script.act)(now - since["start"])
        counts = await said if asyncio.iscoroutine(said) else said
        if isinstance(counts, Evidence):
            return Look(replace(counts, at=self._clock.now()), since)
        arms = counts if isinstance(counts, tuple) else (counts, None)
        return Look(Evidence(self._clock.now(), 5.0, *arms), since)

    async def inspect(self) -> Inspection:
        return Inspection({})

    async def close(self) -> None: ...


class NoteConfig(ActionConfig):
    kind: Literal["note"] = "note"


class Note:
    """An action that follows a script: it hangs unless told otherwise. `tried` has the order of each try."""

    config_model: ClassVar[type[ActionConfig]] = NoteConfig
    act: ClassVar[Callable[[ActionRequest], Any]] = lambda _order: asyncio.Event().wait()
    tried: ClassVar[list[ActionRequest]] = []

    def __init__(self, config: NoteConfig, context: ActionContext) -> None: ...

    async def execute(self, order: ActionRequest) -> ActionResult:
        Note.tried.append(order)
        said = Note.act(order)
        outcome: ActionResult = await said if inspect.isawaitable(said) else said
        return outcome

    async def describe(self, order: ActionRequest) -> str:
        return f"note {order.arms.candidate.version}"

    async def close(self) -> None: ...


BRANCHES = (journal_tables.BRANCH, gate_tables.BRANCH)
LEASE = "60s"  # each quarter of it costs real time, also where time is virtual
POLICY: dict[str, Any] = {
    "initial_delay": "30s",
    "interval": "5s",
    "observe": {"min": "60s", "max": "5m"},
    "criteria": [{"kind": "error_rate", "limit": "5%"}],
}


def config(**changes: Any) -> Config:
    """Service `api` under policy `quick`; `changes` are keys of the configuration, or of the policy with `policy=`."""
    policy = {**POLICY, **changes.pop("policy", {})}
    service = {"source": {"kind": "scripted"}, "policy": "quick", "on_fail": ["back"], **changes.pop("service", {})}
    return Config.model_validate(
        {
            "policies": {"quick": policy},
            "services": {"api": service, "web": service},
            "actions": {"back": {"kind": "note"}},
            "gates": {"lease_duration": LEASE},
            **changes,
        }
    )


def request(service: str = "api", version: str = "2.0", **changes: Any) -> VerifyRequest:
    return VerifyRequest(service=service, candidate=Version(version=version), **changes)


@dataclass
class Replica:
    """One process's gates, as far as a test needs a process."""

    in_force: InForce[Config]
    gates: Gates
    database: Database
    board: Board
    task: asyncio.Task[None]
    registry: CollectorRegistry
    steps: list[tuple[Gate, Gate]] = field(default_factory=list)

    @property
    def keeper(self) -> GateService:
        return self.gates.gate_service

    def configure(self, configuration: Config) -> None:
        """As on SIGHUP."""
        self.in_force.replace(configuration)
        self.gates.arrange()

    async def stop(self) -> None:
        """As on SIGTERM: what runs here is handed on."""
        await self.gates.close()
        await self._end()

    async def crash(self) -> None:
        """As on SIGKILL, as near as one process comes to it: nothing is handed on."""
        await self.gates._supervisor.close()
        for job in self.gates._action_worker._jobs.values():
            job.task.cancel()
        for task in self.gates.callback_worker._jobs:
            task.cancel()
        await self.gates._session.close()
        await self._end()

    async def _end(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})
        await self.database.close()


async def start_replica(
    path: Path | str,
    configuration: Config,
    clock: Clock | None = None,
    *,
    opened: bool = True,
    told: Listener | None = None,
) -> Replica:
    """A replica on the SQLite file, or the database of a URL, open and running."""
    clock = clock or LoopClock()
    database = Database(str(path) if "://" in str(path) else f"sqlite:///{path}", clock, BRANCHES)
    if opened:
        if "://" not in str(path) and not Path(path).exists():
            Path(path).write_bytes(await journal_with_tables())
        await database.open()
    board = Board(clock)
    board.arrange(configuration.active_checks, configuration.active_groups, configuration.windows)
    steps: list[tuple[Gate, Gate]] = []
    registry = CollectorRegistry()
    in_force = InForce(configuration)
    gates = Gates(
        in_force,
        database=database,
        board=board,
        clock=clock,
        registry=registry,
        redact=str,
        listener=told or (lambda before, after: steps.append((before, after))),
    )
    task = asyncio.create_task(gates.run(), name="gates")
    return Replica(in_force, gates, database, board, task, registry, steps)


_journals: list[bytes] = []


async def journal_with_tables() -> bytes:
    """An empty journal: to run all migrations for each test costs more than most of the tests."""
    if not _journals:
        with TemporaryDirectory(prefix="healthd-") as folder:
            file = Path(folder) / "journal.db"
            database = Database(f"sqlite:///{file}", LoopClock(), BRANCHES)
            await database.open()
            await database.close()
            _journals.append(file.read_bytes())
    return _journals[0]


async def over(running: Replica, gate: Gate) -> Gate:
    """The gate once it is over. Its events would be read from the journal at each of its looks."""
    while True:
        change = running.keeper._news.expect(gate.id)
        gate = await running.keeper.get(gate.id)
        if gate.state.is_over:
            return gate
        await set_within(5.0, change)


@asynccontextmanager
async def replica(path: Path | str, configuration: Config | None = None) -> AsyncIterator[Replica]:
    running = await start_replica(path, configuration or config())
    try:
        yield running
    finally:
        await running.stop()
