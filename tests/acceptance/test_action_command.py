"""`healthd action test` as a person runs it before a deploy depends on the action, and the call behind it."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.servers import forked
from tests.servers.gating import Gating, gating

ARMS = ("--service", "shop", "--target", "green", "--baseline-target", "blue")
GREEN, BLUE = {"version": "2.0", "target": "green"}, {"version": "1.0", "target": "blue"}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the action `back` writes who has the traffic."""
    folder = tmp_path_factory.mktemp("switch")
    for target in ("blue", "green"):
        (folder / target).write_text(target)
    return folder / "live"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory, live: Path) -> AsyncIterator[Gating]:
    def command(*argv: str) -> dict[str, Any]:
        return {"kind": "command", "argv": argv}

    changes: dict[str, Any] = {
        "services": {
            name: {
                "targets": {"blue": "http://127.0.0.1:1", "green": "http://127.0.0.1:2"},
                "source": {"kind": "push"},
                "policy": "endless",
            }
            for name in ("shop", "busy")
        },
        "actions": {
            "back": command("cp", f"{live.parent}/$baseline_target", str(live)),
            "broken": command("false"),
            "gone": command("/no/such/program"),
        },
    }
    async with gating(tmp_path_factory.mktemp("gating"), **changes) as daemon:
        yield daemon


async def carried_out(api: Gating, *words: str, token: str = "admin") -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(str(forked.program("healthd")), "action", "test", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "HEALTHD_URL": api.daemon.url, "HEALTHD_TOKEN": api.tokens[token]},
    )
    out, _ = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_it_is_looked_at_and_then_done(running: Gating, live: Path) -> None:
    """Only --run moves anything, once, and the exit code says whether it could be, or was, done."""
    code, said = await carried_out(running, "back", *ARMS)
    assert (code, said.startswith("back: run cp "), live.exists()) == (0, True, False), said
    code, said = await carried_out(running, "back", *ARMS, "--run", "--json")
    assert code == 0, said
    assert json.loads(said) == {
        "action": "back",
        "kind": "command",
        "ok": True,
        "ending": "done",
        "detail": "exit code 0",
    }
    assert live.read_text() == "blue"
    code, said = await carried_out(running, "broken", *ARMS, "--run")
    assert (code, said) == (1, "broken: again: exit code 1\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("bak", *ARMS), "No action is called 'bak'; there are: back, broken, gone. Did you mean back?"),
        (("back", "--service", "shoop"), "No service is called 'shoop'; there are: busy, shop. Did you mean shop?"),
        (("back", "--service", "shop", "--target", "grene"), "there are: blue, green. Did you mean green?"),
        (("back", *ARMS[:4], "--baseline-target", "bleu"), "baseline.target: no target is called 'bleu'"),
        (("back", *ARMS[:4], "--baseline-target", "green"), "there is nowhere else to roll back to"),
        (("gone", *ARMS), "/no/such/program is not there"),
    ],
)
async def test_what_could_never_be_done_is_refused(
    running: Gating, live: Path, words: tuple[str, ...], told: str
) -> None:
    """With the nearest word that there is, and nothing is run."""
    live.unlink(missing_ok=True)
    code, said = await carried_out(running, *words, "--run")
    assert (code, told in said, live.exists()) == (3, True, False), said


async def test_who_may(running: Gating) -> None:
    """It moves traffic, so that a pipeline's token does not do."""
    code, said = await carried_out(running, "back", *ARMS, token="verify")
    assert (code, "lacks the scope gates:rollback" in said) == (3, True), said


async def test_not_while_a_gate_has_the_service(running: Gating, live: Path) -> None:
    """A look is always allowed."""
    live.unlink(missing_ok=True)
    started = await running.verify("busy", "endless")
    assert started.status == 202, started.body
    body = {"service": "busy", "candidate": GREEN, "baseline": BLUE}
    looked = await running.call("POST", "/actions/back/test", body)
    assert (looked.status, looked.body["ok"], looked.body["ending"]) == (200, True, None)
    refused = await running.call("POST", "/actions/back/test", {**body, "run": True})
    assert (refused.status, refused.body["type"]) == (409, "urn:healthd:service-busy")
    assert not live.exists()
    assert (await running.call("POST", f"/gates/{started.body['id']}/cancel", {"reason": "x"})).status == 200
    done = await running.call("POST", "/actions/back/test", {**body, "run": True})
    assert (done.status, done.body["ending"], live.read_text()) == (200, "done", "blue")


@pytest.mark.parametrize(
    ("action", "body", "status"),
    [
        ("bak", {"service": "shop"}, 404),
        ("back", {"service": "shoop"}, 404),
        ("back", {"service": "shop", "candidate": {"version": "2", "target": "red"}}, 422),
        ("back", {"service": "shop", "candidate": GREEN, "baseline": {"version": "1", "target": "green"}}, 422),
        ("gone", {"service": "shop", "candidate": GREEN, "baseline": BLUE}, 422),
        ("back", {"service": "shop", "candidate": GREEN, "baseline": BLUE, "run": "yes"}, 422),
    ],
)
async def test_the_call_says_what_is_wrong(running: Gating, action: str, body: dict[str, Any], status: int) -> None:
    """By its status, as every call of the API."""
    answer = await running.call("POST", f"/actions/{action}/test", body)
    assert (answer.status, answer.is_problem) == (status, True), answer.body
