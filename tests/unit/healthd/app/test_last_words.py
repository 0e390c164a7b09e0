"""What is written to the journal as the daemon ends."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from structlog.testing import capture_logs

from healthd.app.daemon import Daemon
from healthd.app.rest import Rest
from healthd.journal.errors import JournalError
from healthd_gates.app import Gates
from healthd_gates.config.settings import Config


async def test_what_the_replicas_share_keeps_nothing_else_from_the_journal() -> None:
    """A replica that cannot sign off is missed within a lease; a transition that was not stored is lost."""
    done: list[str] = []

    def step(name: str) -> Any:
        async def act() -> None:
            done.append(name)
            if name == "leave":
                raise JournalError("no such table")

        return act

    rest = cast("Any", object.__new__(Rest))
    rest.spread, rest.journal = SimpleNamespace(leave=step("leave")), SimpleNamespace(flush=step("transitions"))
    rest.heartbeats, rest.database = SimpleNamespace(flush=step("heartbeats")), SimpleNamespace(close=step("close"))
    rest.incidents = SimpleNamespace(flush=step("incidents"))
    rest.ended_sessions = SimpleNamespace(flush=step("ended sessions"))
    await rest.close(None)
    assert done == ["transitions", "heartbeats", "incidents", "ended sessions", "leave", "close"]


def acting(done: list[str], *broken: str) -> Callable[[str], Any]:
    """Steps that note their names; those of `broken` have a bug."""

    def step(name: str) -> Any:
        async def act() -> None:
            if name in broken:
                raise RuntimeError(f"bug in {name}")
            done.append(name)

        return act

    return step


async def test_a_bug_in_one_part_leaves_the_notifications_their_end(tmp_path: Path) -> None:
    """What was told is stored, or the next start tells it once more."""
    done: list[str] = []
    step = acting(done, "spans", "exporter")
    daemon = Daemon(Config.model_validate({"journal": f"sqlite:///{tmp_path}/journal.db"}), None)
    daemon.parts.gates = cast("Any", SimpleNamespace(flush_spans=step("spans")))
    parts = SimpleNamespace(close=step("notifications")), SimpleNamespace(close=step("exporter"))
    daemon.parts.rest = cast("Any", SimpleNamespace(notifications=parts[0], exporter=parts[1]))
    with capture_logs() as logs:
        await daemon.parts.close_notifications()
    assert done == ["notifications"]
    assert [(line["event"], line["part"]) for line in logs] == [
        ("part not closed properly", "last spans"),
        ("part not closed properly", "otlp"),
    ]


async def test_a_bug_in_one_part_leaves_the_others_their_place_in_the_journal() -> None:
    done: list[str] = []
    step = acting(done, "gates", "heartbeats")
    rest = cast("Any", object.__new__(Rest))
    rest.spread, rest.database = SimpleNamespace(leave=step("leave")), SimpleNamespace(close=step("close"))
    for name in ("journal", "heartbeats", "incidents", "ended_sessions"):
        setattr(rest, name, SimpleNamespace(flush=step(name)))
    with capture_logs() as logs:
        await rest.close(step("gates"))
    assert done == ["journal", "incidents", "ended_sessions", "leave", "close"]
    assert [line["part"] for line in logs] == ["gates", "heartbeats"]


async def test_a_bug_in_one_part_of_the_gates_leaves_the_leases_to_others() -> None:
    done: list[str] = []
    step = acting(done, "callbacks", "actions")
    gates = cast("Any", object.__new__(Gates))
    gates.gate_service = SimpleNamespace(draining=False)
    gates.callback_worker = SimpleNamespace(close=step("callbacks"))
    gates._action_worker, gates._replica = SimpleNamespace(close=step("actions")), SimpleNamespace(close=step("leases"))
    gates._session = SimpleNamespace(close=step("session"))
    await gates.close()
    assert done == ["leases", "session"]
