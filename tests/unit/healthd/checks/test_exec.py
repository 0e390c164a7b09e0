"""Programs that keep the protocol of Nagios plug-ins, run for real: what each ending means, and what is left behind."""

import asyncio
import sys
from pathlib import Path

import pytest

from healthd.checks.contract import CheckContext
from healthd.checks.exec import Exec, ExecConfig
from healthd.checks.performance import performance_data
from healthd.model import FailureKind, Measure, Result, Status
from healthd.runtime.clock import SystemClock
from tests.servers.waiting import until

_SLOW = 60.0  # seconds: no program here takes that long, however busy the machine


def check(script: str, *, environ: dict[str, str] | None = None, **options: object) -> Exec:
    config = ExecConfig.model_validate(
        {"argv": ["/bin/sh", "-c", script], "timeout": f"{_SLOW:g}s", "interval": f"{_SLOW:g}s", **options}
    )
    return Exec(config, CheckContext("x", SystemClock(), environ or {}))


@pytest.mark.parametrize(
    ("script", "status", "kind", "message"),
    [
        ("echo 'OK - fine'", Status.HEALTHY, None, "OK - fine"),
        ("echo 'WARN - 60'; exit 1", Status.DEGRADED, FailureKind.THRESHOLD, "WARN - 60"),
        ("echo 'CRIT - 300' >&2; exit 2", Status.UNHEALTHY, FailureKind.THRESHOLD, "CRIT - 300"),
        ("exit 2", Status.UNHEALTHY, FailureKind.THRESHOLD, "critical, without a word"),
        ("echo huh; exit 3", Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE, "the plug-in could not tell: huh"),
        ("exit 4", Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE, "exit code 4 is none of a plug-in's"),
        ("exit 127", Status.UNHEALTHY, FailureKind.MISCONFIGURED, "exit code 127: what it runs is not there"),
        ("kill -9 $$", Status.UNHEALTHY, FailureKind.INTERNAL, "ended by SIGKILL"),
    ],
)
async def test_endings(script: str, status: Status, kind: FailureKind | None, message: str) -> None:
    """Green is exit code 0 alone: a plug-in that could not tell, or was killed, says nothing of health."""
    result = await check(script).probe()
    assert (result.status, result.kind, result.message) == (status, kind, message)


async def test_what_cannot_be_run_is_misconfigured(tmp_path: Path) -> None:
    """Before anything is started, in words that name the cure."""
    for argv, said in (
        ([str(tmp_path / "gone")], "is not there"),
        (["no-such-program"], "write its whole path"),
    ):
        result = await check("", argv=argv).probe()
        assert (result.kind, said in result.message) == (FailureKind.MISCONFIGURED, True)
    assert "the folder" in (await check("true", cwd="/nowhere").probe()).message


async def test_time_is_bounded_and_children_go_too(tmp_path: Path) -> None:
    """Whatever the program started, in spite of SIGTERM."""
    mark = tmp_path / "alive"
    script = f"trap '' TERM; (trap '' TERM; sleep 2; sleep 60; echo > {mark}) & wait; sleep 9"
    result = await check(script, timeout="1s", interval="1s").probe()
    assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.TIMEOUT)

    def is_alone() -> bool:
        return not any(str(mark).encode() in _read(path) for path in Path("/proc").glob("[0-9]*/cmdline"))

    await until(is_alone, "all of them are gone, long before they would end", 30)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


async def test_a_probe_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    """As the monitor does it at the deadline, and a reload."""
    mark = tmp_path / "begun"
    probing = asyncio.create_task((it := check(f"echo > {mark}; sleep 600")).probe())
    while not mark.exists():
        await asyncio.sleep(0.01)
    probing.cancel()
    await asyncio.wait({probing})
    await it.close()
    assert it._run._child is not None
    assert it._run._child._child is not None
    assert await it._run._child._child.wait() == -9


async def test_output_without_end_is_cut() -> None:
    """Its beginning is kept: that is where a plug-in says how it stands."""
    program = "print('OK - fine | a=1'); print('x' * 10_000_000)"
    result = await check("", argv=[sys.executable, "-c", program]).probe()
    assert (result.status, result.message, result.observed) == (Status.HEALTHY, "OK - fine", {"a": 1.0})


async def test_the_environment_is_what_is_named() -> None:
    """Nothing of the daemon's but what is handed on; what is sensitive in that is masked."""
    environ = {"API_TOKEN": "s3cret-word", "LANG": "C", "MONGODB_URI": "mongodb://x"}
    it = check("env | sort | tr '\\n' ' '", environ=environ, pass_env=["API_TOKEN", "LANG"], env={"MORE": "1"})
    said = (await it.probe()).message
    assert "LANG=C" in said
    assert "MORE=1" in said
    assert "MONGODB_URI" not in said
    assert "s3cret-word" not in said


@pytest.mark.parametrize(
    ("output", "text", "measures"),
    [
        ("OK - load|load1=0.5;5;10;0; load5=0,75", "OK - load", [("load1", 0.5, ""), ("load5", 0.75, "")]),
        ("OK | 'used space'=12MB;80;90;0;100 /=3%", "OK", [("used space", 12 * 1024**2, "B"), ("/", 3.0, "%")]),
        (
            "OK|time=12ms;;;0 'it''s'=1s size=2KB",
            "OK",
            [("time", 0.012, "s"), ("it's", 1.0, "s"), ("size", 2048.0, "B")],
        ),
        ("OK|a=1\nlong text\nmore|b=2\nc=3c", "OK", [("a", 1.0, ""), ("b", 2.0, ""), ("c", 3.0, "c")]),
        ("OK|a=U b=1.2.3 =4 c= d=5", "OK", [("d", 5.0, "")]),
        ("no data", "no data", []),
        ("", "", []),
        ("|", "", []),
        ("OK|a=1 a=2", "OK", [("a", 1.0, "")]),
    ],
)
def test_performance_data(output: str, text: str, measures: list[tuple[str, float, str]]) -> None:
    """By the Monitoring Plugins Development Guidelines, and what breaks them is left out."""
    found, numbers = performance_data(output)
    assert found == text
    assert [(it.name, it.unit) for it in numbers] == [(name, unit) for name, _, unit in measures]
    assert [it.value for it in numbers] == pytest.approx([value for _, value, _ in measures])


def test_numbers_of_one_plug_in_are_bounded() -> None:
    _, numbers = performance_data("OK|" + " ".join(f"n{n}=1" for n in range(1000)))
    assert len(numbers) == 64
    assert Result.healthy().measures == ()
    assert numbers[0] == Measure("n0", 1.0)
