"""`healthd gate` as a pipeline runs it: a process, its exit code, its output."""

import asyncio
import json
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.servers import forked
from tests.servers.gating import Gating, gating, pushing
from tests.servers.ports import free_port
from tests.servers.waiting import HANGS

HEALTHD = Path(sys.executable).with_name("healthd")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gating]:
    async with gating(tmp_path_factory.mktemp("gating")) as daemon:
        yield daemon


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


def environment(api: Gating, token: str = "admin", **more: str) -> dict[str, str]:
    return {**os.environ, "HEALTHD_URL": api.daemon.url, "HEALTHD_TOKEN": api.tokens[token], "COLUMNS": "160", **more}


async def start(api: Gating, *arguments: str, token: str = "admin", **more: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        forked.program("healthd"),
        "gate",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(api, token, **more),
    )


async def end(process: asyncio.subprocess.Process, given: str = "") -> Ended:
    """How it ended; that it waited for long is left out, which it says on a busy machine."""
    out, err = await asyncio.wait_for(process.communicate(given.encode()), 60)
    assert process.returncode is not None
    said = [line for line in err.decode().splitlines(keepends=True) if "; waiting for up to " not in line]
    return Ended(process.returncode, out.decode(), "".join(said))


async def gate(api: Gating, *arguments: str, given: str = "", token: str = "admin", **more: str) -> Ended:
    return await end(await start(api, *arguments, token=token, **more), given)


async def only_gate(api: Gating, service: str) -> str:
    """The id of the one gate of a service, once it is there."""
    async with api.client() as client:
        while not (page := await client.gates(service=service)).gates:
            await asyncio.sleep(0.1)
        return page.gates[0].id


@pytest.mark.parametrize(("policy", "code", "verdict"), [("green", 0, "pass"), ("red", 1, "fail")])
async def test_verify_ends_with_the_verdict(running: Gating, policy: str, code: int, verdict: str) -> None:
    """In its exit code and as the first word on stdout; progress is on stderr, without any colour."""
    ended = await gate(running, "verify", running.service(), "2", "--policy", policy)
    assert ended.code == code, ended
    assert ended.out.startswith(f"{verdict}: ")
    assert "\x1b" not in ended.out + ended.err
    assert ended.err.count("\n") <= 3


async def test_verify_judges_traffic(running: Gating) -> None:
    """Errors of the candidate end it with 1, and the sentence tells how many there were."""
    service = running.service()
    process = await start(running, "verify", service, "2", "--policy", "pushed", "--json")
    async with running.client() as client, pushing(client, await only_gate(running, service), bad=0.3):
        ended = await end(process)
    assert ended.code == 1, ended
    document = json.loads(ended.out)
    assert document["verdict"] == "fail"
    assert [criterion["finding"] for criterion in document["standing"]["criteria"]] == ["harm"]
    assert "30 %" in document["decision"]["sentence"]
    assert ended.err == ""


async def test_no_traffic_is_inconclusive(running: Gating) -> None:
    """2 is neither 0 nor 1."""
    ended = await gate(running, "verify", running.service(), "2", "--policy", "silent")
    assert (ended.code, ended.out.partition(":")[0]) == (2, "inconclusive")


async def test_what_cannot_be_asked_is_3(running: Gating) -> None:
    """No daemon, no permission, an unknown service, a lock: one line on stderr, nothing on stdout."""
    service = running.service()
    await gate(running, "lock", service, "--holder", "job-1", "--reason", "migration")
    nobody = f"http://127.0.0.1:{free_port()}"
    for arguments, token, said in [
        (("verify", service, "2", "--url", nobody, "--retry-for", "0"), "admin", "could not be asked"),
        (("verify", service, "2"), "read", "lacks the scope gates:verify"),
        (("verify", "nobody", "2"), "admin", "No service is called 'nobody'"),
        (("verify", service, "2"), "admin", "job-1 holds the deploy lock"),
        (("show", "nosuchgate"), "admin", "There is no gate nosuchgate"),
    ]:
        ended = await gate(running, *arguments, token=token)
        assert ended.code == 3, ended
        assert said in ended.err
        assert ended.err.count("\n") == 1
        assert ended.out == ""


async def test_a_request_may_come_from_a_file(running: Gating) -> None:
    """Standard input too; options change what it says."""
    request = {"service": running.service(), "policy": "red", "candidate": {"version": "2", "labels": {"zone": "a"}}}
    options = ["--request", "-", "--policy", "green", "--label", "zone=b", "--json"]
    ended = await gate(running, "verify", *options, given=json.dumps(request))
    document = json.loads(ended.out)
    assert (ended.code, document["policy"]) == (0, "green")
    assert document["candidate"] == {"version": "2", "target": None, "labels": {"zone": "b"}}


async def test_a_job_that_runs_again_joins_its_gate(running: Gating) -> None:
    """With the same key."""
    service = running.service()
    arguments = ("verify", service, "2", "--policy", "green", "--key", f"job-{service}", "--json")
    first, second = await gate(running, *arguments), await gate(running, *arguments)
    assert (first.code, second.code) == (0, 0)
    assert json.loads(first.out)["id"] == json.loads(second.out)["id"]


@pytest.mark.parametrize(("wish", "state"), [("leave", "observing"), ("cancel", "cancelled")])
async def test_an_interrupted_job_leaves_or_cancels_its_gate(running: Gating, wish: str, state: str) -> None:
    """130 either way, which no pipeline takes for a pass."""
    service = running.service()
    process = await start(running, "verify", service, "2", "--policy", "endless", "--on-interrupt", wish)
    gate_id = await only_gate(running, service)
    assert process.stderr
    await asyncio.wait_for(process.stderr.readline(), HANGS)
    process.send_signal(signal.SIGTERM)
    ended = await end(process)
    assert ended.code == 130, ended
    assert gate_id in ended.err
    async with running.client() as client:
        assert (await client.gate(gate_id)).state == state


async def test_gates_are_listed_shown_watched_and_cancelled(running: Gating) -> None:
    """The day of someone on call."""
    service = running.service()
    process = await start(running, "verify", service, "2", "--policy", "endless")
    gate_id = await only_gate(running, service)
    listed = await gate(running, "list", "--service", service, "--state", "active")
    assert (listed.code, gate_id in listed.out) == (0, True)
    shown = await gate(running, "show", gate_id)
    assert (shown.code, "endless" in shown.out) == (0, True)
    watching = await start(running, "watch", gate_id)
    assert (await gate(running, "cancel", gate_id)).code == 3
    assert (await gate(running, "cancel", gate_id, "--reason", "wrong version")).err == ""
    again = await gate(running, "cancel", gate_id, "--reason", "another one")
    assert (again.code, "wrong version" in again.out) == (0, True)
    assert "was cancelled already, and keeps its reason: 'another one' is not stored" in again.err
    assert [(await end(each)).code for each in (process, watching)] == [2, 2]


async def test_a_terminal_gets_a_live_view_and_a_question(running: Gating) -> None:
    """Ctrl-C does not end the gate: it asks, and `cancel` cancels."""
    service = running.service()
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        HEALTHD, "gate", "verify", service, "2", "--policy", "endless",
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment(running, TERM="xterm"),
    )  # fmt: skip
    os.close(theirs)
    screen = Screen(ours)
    await screen.shows("running")
    await screen.shows("observing")
    process.send_signal(signal.SIGINT)
    await screen.shows("Cancel it")
    os.write(ours, b"cancel\n")
    await screen.shows("is cancelled")
    assert await asyncio.wait_for(process.wait(), HANGS) == 130
    async with running.client() as client:
        assert (await client.gate(await only_gate(running, service))).state == "cancelled"


class Screen:
    """What a terminal was sent."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._seen = descriptor, b""

    async def shows(self, text: str) -> None:
        async with asyncio.timeout(HANGS):
            while text.encode() not in self._seen:
                self._seen += await asyncio.to_thread(os.read, self._descriptor, 65536)
