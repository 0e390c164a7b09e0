"""A deploy whose lines nobody reads any more ends as any other: what was switched is judged, and put back."""

import asyncio
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.acceptance.deploy.test_nginx import Stage, staged
from tests.servers.command import INSTALLED
from tests.servers.ports import HOST

_BEFORE, _AFTER, _UNDOING = "release 2.0 to green …", "✓ switch the traffic", "put the traffic back to blue …"
_BROKEN = {"full": 'exec "$0" "$@" >/dev/full 2>&1', "closed": 'exec "$0" "$@" >&- 2>&-'}
_READ = 'exec "$0" "$@" 2>&1'


def _refused(settings: dict[str, Any]) -> None:
    """The gate after the switch fails at its first look."""
    settings["checks"]["dead"] = {"kind": "tcp", "host": HOST, "port": 1, "interval": "1s", "timeout": "1s"}
    settings["policies"]["post-switch"] = {
        "initial_delay": "0s",
        "interval": "1s",
        "observe": {"min": "0s", "max": "10s"},
        "criteria": [{"kind": "checks", "checks": ["dead"], "failures": 1}],
        "watch": "0s",
        "quarantine": False,
    }


def _passed(settings: dict[str, Any]) -> None:
    _refused(settings)
    settings["policies"]["post-switch"]["criteria"] = [{"kind": "checks", "checks": ["here"]}]


def _ended(stage: Stage, output: str, last: str, *words: str) -> int:
    """Run the tool, both of its outputs in one, which is broken from the start or once something has been read."""
    reading, writing = os.openpty() if output == "terminal" else os.pipe()
    program = [str(INSTALLED.with_name("healthd-deploy")), "nginx", *words, "-c", str(stage.folder / "deploy.json")]
    process = subprocess.Popen(
        ["sh", "-c", _BROKEN.get(output, _READ), *program], stdout=writing, stderr=writing, start_new_session=True
    )
    os.close(writing)
    if output not in _BROKEN:
        seen = b""
        while last.encode() not in seen:
            with suppress(OSError):  # how a terminal says that it was closed
                more = os.read(reading, 1)
            assert more, f"{output}: no {last} in {seen.decode()}"
            seen += more
    os.close(reading)
    return process.wait(60)


async def test_a_bad_version_is_put_back(tmp_path: Path) -> None:
    """By the verdict, whoever has stopped reading, and when."""
    broken = [(output, last) for output in ("pipe", "terminal") for last in (_BEFORE, _AFTER, _UNDOING)]
    broken += [(output, "") for output in _BROKEN]
    async with staged(tmp_path, rolls_back=False, change=_refused) as stage:
        for number, (output, last) in enumerate(broken):
            code = await asyncio.to_thread(_ended, stage, output, last, "blue-green", "2.0", "--key", f"P{number}")
            assert (code, stage.live()) == (1, "blue"), (output, last)
            newest = (await stage.gates())[0]
            assert (newest["deployment"]["id"], newest["verdict"]) == (f"P{number}", "fail"), (output, last)


async def test_a_good_version_stays(tmp_path: Path) -> None:
    """And is told to be promoted."""
    async with staged(tmp_path, rolls_back=False, change=_passed) as stage:
        for output, last in (("pipe", _AFTER), ("full", ""), ("closed", "")):
            live = stage.live()
            version = "1.1" if live == "blue" else "1.2"
            code = await asyncio.to_thread(_ended, stage, output, last, "blue-green", f"{version}-{output}")
            assert (code, stage.live() != live) == (0, True), output


async def test_a_switch_that_is_done_is_a_success(tmp_path: Path) -> None:
    """An action of healthd's that runs it goes by its exit code."""
    async with staged(tmp_path, rolls_back=False) as stage:
        for target, output in (("green", "full"), ("blue", "closed")):
            assert await asyncio.to_thread(_ended, stage, output, "", "switch", target) == 0, output
            assert stage.live() == target
