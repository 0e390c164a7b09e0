"""What of the file on disk is not in force: `/health` and `healthd status` say so, since when and why. What is written
after it was read is read once more."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from healthd.app.daemon import Daemon
from healthd.commands import status as command
from healthd.commands.config import check_file
from healthd.config.file import ConfigError, load
from healthd.units import stamp
from healthd_gates.config.settings import Config
from tests.fakes.monitoring import MIDNIGHT, HandClock

GOOD = "checks: {db: {kind: process}}\n"
BAD = "checks: {db: {kind: postgresql, uri: 'postgresql://u:hunter2-secret@db/x', intervall: 5s}}\nlevel: full\n"
SINCE = stamp(MIDNIGHT + timedelta(seconds=1000))


@pytest.fixture
async def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Daemon]:
    """One that reads `tmp_path/c.yaml`."""
    monkeypatch.setenv("HEALTHD_JOURNAL", f"sqlite:///{tmp_path}/j.db")
    monkeypatch.setattr("healthd.logs.configure", lambda *_: None)
    monkeypatch.setattr("healthd.config.written_files._BETWEEN_LOOKS", 0.0)
    monkeypatch.setattr("healthd.app.reloading._LOOKS_AFTER", (0.0, 0.0, 0.0))
    file = tmp_path / "c.yaml"
    file.write_text(GOOD)
    it = Daemon(load(file, Config, {}), file, HandClock())
    yield it
    await it.health.suite.close()


def told(daemon: Daemon, *, detailed: bool = True) -> Any:
    return daemon.health.endpoints._document("", detailed, False)[2].get("configuration")


async def test_a_refused_file_is_told_until_one_is_taken(daemon: Daemon, tmp_path: Path) -> None:
    """Since the first refusal, with the reasons of the last; a secret is in none of them."""
    assert told(daemon) is None
    clock = daemon.health.clock
    assert isinstance(clock, HandClock)
    for text in (BAD, BAD.replace("full", "fully")):
        (tmp_path / "c.yaml").write_text(text)
        await daemon.reloading.reload()
        said = told(daemon)
        assert (said["status"], said["since"]) == ("refused", SINCE)
        clock.seconds += 60
    assert told(daemon, detailed=False) == {"status": "refused", "since": SINCE}
    assert any("intervall" in each for each in said["problems"])
    assert any("level: must be" in each for each in said["problems"])
    assert "hunter2" not in json.dumps(said)
    (tmp_path / "c.yaml").write_text(GOOD)
    await daemon.reloading.reload()
    assert told(daemon) is None


async def test_a_refusal_is_told_in_the_words_of_config_check(daemon: Daemon, tmp_path: Path) -> None:
    """Which option, which kind and what to write, on the page and in the log; a password that is quoted since it stands
    at the wrong key is neither there nor in what `config check` prints."""
    file = tmp_path / "c.yaml"
    file.write_text("checks: {db: {kind: postgresql, uri: 'postgresql://app:hunter2-secret@127.0.0.1:1/x'}}\n")
    await daemon.reloading.reload()
    file.write_text(
        "checks:\n  db: {kind: process, password: x, token: y}\n  q: {kind: postgres}\n"
        "  r: {kind: process, interval: 'redis://a:hunter3@c/0'}\njournal: 'mysql://h/d'\n"
    )
    printed = CliRunner().invoke(check_file, [str(file)]).output
    with capture_logs() as lines:
        await daemon.reloading.reload()
    logged = next(line for line in lines if "refused" in line["event"])["problems"]
    assert logged == told(daemon)["problems"]
    assert [each for each in logged if each not in printed] == []
    assert "checks.db.password: no such option" in printed
    assert "postgresql://user:password@host/database" in printed
    assert "is called 'postgres'" in printed
    assert "'redis://***@c/0' is not a duration" in printed
    file.write_text("checks: {r: {kind: process, interval: hunter2-secret}}\n")
    await daemon.reloading.reload()
    assert "checks.r.interval: '***' is not a duration" in told(daemon)["problems"][0]


async def test_an_option_that_waits_for_a_restart_is_told(daemon: Daemon, tmp_path: Path) -> None:
    """The rest of the file is in force."""
    (tmp_path / "c.yaml").write_text(f"{GOOD}version: '2'\nhttp: {{listen: '127.0.0.1:1'}}\n")
    await daemon.reloading.reload()
    said = {"status": "restart", "since": SINCE, "problems": ["http.listen changes only with a restart"]}
    assert (told(daemon), daemon.settings.version) == (said, "2")


async def test_what_a_reload_took_away_is_told(daemon: Daemon, tmp_path: Path) -> None:
    """A file that lost its end is valid, and silences everything."""
    told_to = "notifiers: {chat: {kind: webhook, url: 'https://chat.test/'}}\n"
    rest = "routes: [{to: chat}]\nservices: {cart: {source: {kind: push}}}\n"
    (tmp_path / "c.yaml").write_text(GOOD + told_to + rest)
    with capture_logs() as lines:
        await daemon.reloading.reload()
    assert "configuration has no longer what it had" not in [line["event"] for line in lines]
    for text, gone in (
        (GOOD + told_to, {"routes_to": ["chat"], "services": ["cart"]}),
        (GOOD, {"notifiers": ["chat"]}),
        ("checks: {}\n", {"checks": ["db"]}),
    ):
        (tmp_path / "c.yaml").write_text(text)
        with capture_logs() as lines:
            await daemon.reloading.reload()
        said = next(line for line in lines if line["event"] == "configuration has no longer what it had")
        assert {key: value for key, value in said.items() if key not in ("event", "log_level")} == gone
    said = healthd_says(daemon)
    assert [entry["gone"] for entry in said] == [["checks db"], ["notifiers chat"], ["routes to chat", "services cart"]]
    many = ", ".join(f"c{number}: {{kind: process}}" for number in range(30))
    (tmp_path / "c.yaml").write_text(f"checks: {{{many}}}\n")
    await daemon.reloading.reload()
    (tmp_path / "c.yaml").write_text("checks: {}\n")
    with capture_logs() as lines:
        await daemon.reloading.reload()
    said = next(line for line in lines if line["event"] == "configuration has no longer what it had")
    assert (len(said["checks"]), said["checks"][-1]) == (21, "and 10 more")


def healthd_says(daemon: Daemon, *, detailed: bool = True) -> Any:
    return daemon.health.endpoints._document("", detailed, False)[2].get("takenAway")


async def test_what_a_reload_took_away_is_told_for_a_shift(daemon: Daemon, tmp_path: Path) -> None:
    """On-call reads no log. What a later file has again is told no more, and neither is what is long past."""
    file, clock = tmp_path / "c.yaml", daemon.health.clock
    assert isinstance(clock, HandClock)
    told_to = "notifiers: {chat: {kind: webhook, url: 'https://chat.test/'}}\n"
    for text in (GOOD + told_to, "checks: {}\n", GOOD):
        file.write_text(text)
        await daemon.reloading.reload()
    assert healthd_says(daemon) == [{"at": SINCE, "gone": ["notifiers chat"]}]
    assert healthd_says(daemon, detailed=False) == [{"at": SINCE}]
    clock.seconds += 12 * 3600 - 1
    await daemon.reloading.reload()
    assert healthd_says(daemon) == [{"at": SINCE, "gone": ["notifiers chat"]}]
    clock.seconds += 1
    assert healthd_says(daemon) is None
    file.write_text("checks: {}\n")
    await daemon.reloading.reload()
    file.write_text(GOOD)
    await daemon.reloading.reload()
    assert healthd_says(daemon) is None


@pytest.mark.parametrize("first", ["{}\n", "checks: {"])
async def test_a_file_that_is_written_on_after_a_reload(daemon: Daemon, tmp_path: Path, first: str) -> None:
    """It is read once more, whether the half was taken or refused, and what was said of the half is over."""
    file, never = tmp_path / "c.yaml", asyncio.Event()
    file.write_text(first)
    await daemon.reloading.reload()
    file.write_text(f"{GOOD}version: whole\n")
    await daemon.reloading.follow(never)
    assert (daemon.settings.version, list(daemon.settings.active_checks), told(daemon)) == ("whole", ["db"], None)
    with capture_logs() as lines:
        await daemon.reloading.follow(never)
    assert lines == []


async def test_a_reload_that_is_asked_for_ends_the_looks(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which reads the file anyway."""
    monkeypatch.setattr("healthd.app.reloading._LOOKS_AFTER", (60.0,))
    await daemon.reloading.reload()
    (tmp_path / "c.yaml").write_text(f"{GOOD}version: whole\n")
    (asked := asyncio.Event()).set()
    await daemon.reloading.follow(asked)
    assert daemon.settings.version != "whole"


async def test_a_look_that_fails_changes_nothing(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a file system that does not answer nor a bug ends reloading."""
    await daemon.reloading.reload()
    for error in (ConfigError([]), ZeroDivisionError()):

        async def changed(_: object, error: Exception = error) -> bool:
            raise error

        monkeypatch.setattr("healthd.app.reloading.changed", changed)
        with capture_logs() as lines:
            await daemon.reloading.follow(asyncio.Event())
        assert [line["log_level"] for line in lines] == 3 * ["error"] * isinstance(error, ZeroDivisionError)


@pytest.mark.parametrize(
    ("member", "told", "said"),
    [
        (
            "configuration",
            {"status": "refused", "since": "s", "problems": ["a", "b", "c", "d", "e"]},
            "▲ CONFIGURATION REFUSED since s: a; b; c; and 2 more: see the log. The one before is in force, and a "
            "restart would fail.",
        ),
        (
            "configuration",
            {"status": "refused", "since": "s"},
            "▲ CONFIGURATION REFUSED since s. The one before is in force, and a restart would fail.",
        ),
        (
            "configuration",
            {"status": "restart", "since": "s", "problems": ["http.listen changes only with a restart"]},
            "▲ CONFIGURATION WAITS FOR A RESTART since s: http.listen changes only with a restart",
        ),
        (
            "takenAway",
            [{"at": "t", "gone": ["notifiers chat", "routes to chat"]}],
            "▲ RELOAD at t TOOK AWAY: notifiers chat; routes to chat",
        ),
        ("takenAway", [{"at": "t"}], "▲ RELOAD at t TOOK AWAY some of the configuration"),
    ],
)
@pytest.mark.parametrize(("code", "ended"), [(200, 0), (503, 1)])
def test_status_says_it_first_and_ends_by_health(
    monkeypatch: pytest.MonkeyPatch, member: str, told: Any, said: str, code: int, ended: int
) -> None:
    """The exit code is that of health alone."""
    document = {"overall": "healthy", "environment": "production", "version": "1", member: told}

    async def answer(*_: object) -> tuple[int, bytes]:
        return code, json.dumps(document).encode()

    monkeypatch.setattr(command, "_ask", answer)
    result = CliRunner().invoke(command.status, ["http://x.invalid"])
    assert (result.stdout.splitlines()[0], result.exit_code) == (said, ended)
