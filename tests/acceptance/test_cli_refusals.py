"""Every command that asks a daemon says what stands between it and an answer, and what to do: of a real daemon."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import aiohttp
import click
from click.testing import CliRunner, Result

from healthd.cli import main as healthd
from healthd.web.auth import hash_token
from tests.servers import daemon
from tests.servers.ports import free_port
from tests.servers.waiting import until
from tests.unit.healthd.commands.tree import every_command

RAW = re.compile(r"Traceback|Expecting |ssl:default|\[Errno|WRONG_VERSION|should match|codec|<\w+ object|\w+Error\b")
GATE = "01900000-0000-7000-8000-000000000000"
WHY = ("--reason", "a drill")
CALLS: dict[str, tuple[str, ...]] = {
    "action test": ("back", "--service", "api", "--target", "blue"),
    "audit": (),
    "gate approve": (GATE, *WHY),
    "gate cancel": (GATE, *WHY),
    "gate give-up": (GATE, "--done", *WHY),
    "gate list": (),
    "gate lock": ("api", "--holder", "me", "--for", "1m", *WHY),
    "gate locks": (),
    "gate pause": (GATE, *WHY),
    "gate quarantine": (),
    "gate reject": (GATE, *WHY),
    "gate replay": ("--gate", GATE),
    "gate report": (),
    "gate resume": (GATE, *WHY),
    "gate rollback": (GATE, *WHY),
    "gate show": (GATE,),
    "gate unlock": ("api", "--holder", "me"),
    "gate unquarantine": ("api", "1.0", *WHY),
    "gate verify": ("api", "1.0"),
    "gate watch": (GATE,),
    "history": (),
    "incident list": (),
    "incident open": ("Slow", "--page", "shop", "--text", "We look."),
    "incident resolve": ("x", "--text", "Over."),
    "incident update": ("x", "--text", "We look."),
    "incident withdraw": ("x",),
    "status": (),
    "window add": ("silence", "--check", "here", "--for", "1h", *WHY),
    "window end": ("x",),
    "window list": (),
}
"""What each command is called with at least, so that it asks."""


LOCAL = {
    *("check", "completion", "config check", "config example", "config schema", "config show", "gate simulate", "init"),
    *("notify test", "preflight", "run", "source test", "token new"),
}
"""What asks no daemon."""
UNKNOWN = "this token is not known: no hash under auth.tokens is its own"
_NOTHING_SET = {"HEALTHD_TOKEN": "", "HEALTHD_URL": "", "HEALTHD_CONFIG": ""}


def call(name: str, **env: str) -> Result:
    """Call a command at least; one that would go on trying does not."""
    words = [*name.split(), *CALLS[name]]
    if name.startswith(("gate ", "action ")):
        words += ["--retry-for", "0"]
    return CliRunner().invoke(healthd, words, prog_name="healthd", env={**_NOTHING_SET, **env})


async def wrong(said: Callable[[str], str], code: Callable[[str], int] = lambda _: 3, **env: str) -> dict[str, str]:
    """What every command answers that does not answer so."""
    found = {}
    for name in CALLS:
        done = await asyncio.to_thread(call, name, **env)
        if done.exit_code != code(name) or said(name) not in done.stderr or RAW.search(done.output):
            found[name] = f"{done.exit_code}: {done.output}"
    return found


def test_every_command_is_called() -> None:
    """A new one belongs into one of the two lists."""
    there = {
        context.command_path.removeprefix("healthd ")
        for context in every_command()
        if context.command_path.startswith("healthd ") and not isinstance(context.command, click.Group)
    }
    assert there == {*CALLS, *LOCAL}


async def test_no_daemon() -> None:
    """The address is named, and what to look at."""
    place = f"http://127.0.0.1:{free_port()}"
    said = f"{place} could not be asked: nobody listens there: is the daemon running, and is this its port?"
    assert await wrong(lambda _: said, HEALTHD_URL=place, HEALTHD_TOKEN="hd_x") == {}


async def test_no_url() -> None:
    """It is written out as it should be."""
    said = "HEALTHD_URL, is not a URL: write it as http://127.0.0.1:8080, or with https"
    assert await wrong(lambda _: said, HEALTHD_URL="127.0.0.1:8080") == {}


async def test_a_daemon_that_does_not_let_it() -> None:
    """An unknown token, one that lacks the right, and none; `status` answers all the same, and says what is missing.
    The other scheme is told apart from no daemon."""
    checks = {"here": {"kind": "process"}}
    weak = {"name": "weak", "hash": hash_token("hd_weak"), "scopes": ["heartbeats:write"]}
    services = {"api": {"targets": {"blue": "http://127.0.0.1:1"}, "source": {"kind": "push"}}}
    configured = {"checks": checks, "services": services, "auth": {"tokens": [weak]}}

    def of_status(other: str, own: str) -> Callable[[str], str]:
        return lambda name: own if name == "status" else other

    def code(name: str) -> int:
        return 0 if name == "status" else 3

    no_details = (
        "no details: the token in HEALTHD_TOKEN is not known there, has expired, or lacks the scope health:read"
    )
    async with daemon.running(configured) as running, aiohttp.ClientSession() as session:
        await until(lambda: _started(session, running.url), "every check has been looked at")
        at = {"HEALTHD_URL": running.url}
        assert await wrong(of_status(UNKNOWN, no_details), code, HEALTHD_TOKEN="hd_unknown", **at) == {}
        lacks = "token 'weak' lacks the scope "
        assert await wrong(of_status(lacks, no_details), code, HEALTHD_TOKEN="hd_weak", **at) == {}
        assert await wrong(of_status("HEALTHD_TOKEN", ""), code, **at) == {}
        secure = running.url.replace("http:", "https:")
        said = f"{secure} could not be asked: it does not speak TLS; is it {running.url}?"
        assert await wrong(lambda _: said, HEALTHD_URL=secure) == {}


async def _started(session: aiohttp.ClientSession, url: str) -> bool:
    async with session.get(f"{url}/health/startup") as answer:
        return answer.status == 200
