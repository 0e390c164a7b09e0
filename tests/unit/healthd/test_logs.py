"""Logs in one form, without secrets, whoever writes them."""

import asyncio
import contextlib
import gc
import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from healthd import logs
from healthd.config.sections import Log
from healthd.config.settings import Settings
from healthd.runtime.redaction import Redactor

SECRET = "hunter22-correct-horse"


class Stream(io.StringIO):
    """A stderr that is a terminal or is not."""

    terminal = False

    def isatty(self) -> bool:
        return self.terminal

    def configure(self, *, secret: str = SECRET, **settings: str) -> None:
        """Log here, with `secret` known as one."""
        with contextlib.redirect_stderr(self):
            logs.configure(Log.model_validate(settings), Redactor([secret]))

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def stderr() -> Iterator[Stream]:
    """What is written, and the process's logging as it was afterwards."""
    root = logging.getLogger()
    handlers, level, hooks = root.handlers[:], root.level, (sys.excepthook, threading.excepthook, sys.unraisablehook)
    shown = structlog.get_config()
    yield Stream()
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    logging.captureWarnings(False)
    structlog.configure(**shown)


def test_json_when_nobody_watches(stderr: Stream) -> None:
    """One object a line with time, level, logger and fields, also from libraries that use logging."""
    stderr.configure()
    structlog.get_logger("healthd.x").info("probe", check="db", took=0.5, tags=["a"])
    logging.getLogger("library").warning("slow %s", "query")
    own, library = stderr.lines()
    assert own | {"timestamp": 0} == {
        "event": "probe",
        "check": "db",
        "took": 0.5,
        "tags": ["a"],
        "level": "info",
        "logger": "healthd.x",
        "timestamp": 0,
    }
    assert (library["event"], library["logger"], library["level"]) == ("slow query", "library", "warning")
    assert own["timestamp"].endswith("Z")


def test_whose_line_it_is_is_never_masked(stderr: Stream) -> None:
    """A password may be the name of a check: every line would hide whose it is, and tell the password. In a text it is
    one."""
    settings = Settings.model_validate({"checks": {SECRET: {"kind": "redis", "uri": f"redis://:{SECRET}@cache/0"}}})
    with contextlib.redirect_stderr(stderr):
        logs.configure(Log(), Redactor.of(settings))
    log = structlog.get_logger("healthd.x")
    log.info("probe", check=SECRET, notifier=f"no {SECRET}", problem=SECRET)
    (line,) = stderr.lines()
    assert (line["check"], line["notifier"], line["problem"]) == (SECRET, "no ***", "***")


def test_a_logger_and_a_level_are_never_masked(stderr: Stream) -> None:
    """A password may be a word of the code: without its loggers a log cannot be searched."""
    stderr.configure(secret="shop.critical")
    structlog.get_logger("shop.critical").critical("shop.critical")
    (line,) = stderr.lines()
    assert (line["logger"], line["level"], line["event"]) == ("shop.critical", "critical", "***")


def test_reasons_of_a_refusal_stay_as_they_were_written(stderr: Stream) -> None:
    """They were redacted where words and values are told apart: the option would be masked by its name here."""
    stderr.configure()
    said = ["c.yaml:9: checks.db.password: no such option; write postgresql://user:password@host/database"]
    structlog.get_logger().error("refused", problems=said)
    (line,) = stderr.lines()
    assert line["problems"] == said


def test_readable_on_a_terminal(stderr: Stream) -> None:
    """Not JSON where a person reads, unless it is asked for."""
    stderr.terminal = True
    stderr.configure()
    structlog.get_logger().info("probe", check="db")
    assert not stderr.getvalue().startswith("{")
    assert "db" in stderr.getvalue()


def test_a_dependency_cannot_move_the_cursor(stderr: Stream) -> None:
    """Escape sequences in what a server answers do not reach the terminal."""
    stderr.terminal = True
    stderr.configure()
    structlog.get_logger().info("answer", message="\x1b[2Jgone\x07")
    assert "[2Jgone" in stderr.getvalue()
    assert "\x1b[2J" not in stderr.getvalue()


def test_level(stderr: Stream) -> None:
    """What is below the level is not written; a reload may change it."""
    stderr.configure(level="warning")
    log = structlog.get_logger()
    log.info("one")
    stderr.configure(level="debug")
    log.debug("two")
    assert [line["event"] for line in stderr.lines()] == ["two"]


def leak() -> None:
    raise ConnectionError(f"cannot reach postgresql://app:{SECRET}@db/app")


@pytest.mark.parametrize("how", ["structlog", "logging", "nested"])
def test_no_secret_in_tracebacks(stderr: Stream, how: str) -> None:
    """An exception's text, its causes' and its traceback are cleaned as everything else."""
    stderr.configure()
    try:
        try:
            leak()
        except ConnectionError as error:
            if how == "nested":
                raise RuntimeError("failed") from error
            raise
    except Exception:
        if how == "logging":
            logging.getLogger("library").exception("failed with %s", SECRET)
        else:
            structlog.get_logger().exception("failed", uri=f"x://a:{SECRET}@b", deep={SECRET: [SECRET]})
    (line,) = stderr.lines()
    assert SECRET not in stderr.getvalue()
    assert "cannot reach postgresql://***@db/app" in line["exception"]
    assert "in leak" in line["exception"]


def test_uncaught_exceptions_and_warnings_are_logged(stderr: Stream) -> None:
    """What nobody caught, in the main thread or another, and what Python warns of."""
    stderr.configure()
    logs.catch_the_uncaught()
    try:
        leak()
    except ConnectionError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    thread = threading.Thread(target=leak)
    thread.start()
    thread.join()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"old {SECRET}", DeprecationWarning, stacklevel=1)
    assert [line["level"] for line in stderr.lines()] == ["critical", "critical", "warning"]
    assert SECRET not in stderr.getvalue()


async def test_uncaught_in_a_task_is_logged(stderr: Stream) -> None:
    """A task that died unobserved says its name and why."""
    stderr.configure()
    logs.catch_the_uncaught_in(asyncio.get_running_loop())

    async def dies() -> None:
        leak()

    task = asyncio.create_task(dies(), name="journal")
    await asyncio.wait({task})
    del task
    gc.collect()
    (line,) = stderr.lines()
    assert (line["task"], line["level"]) == ("journal", "error")
    assert SECRET not in stderr.getvalue()


def test_an_exception_that_ends_the_process_is_clean() -> None:
    """Not even the interpreter's last words tell a secret."""
    program = f"""
from healthd import logs
from healthd.runtime.redaction import Redactor
from healthd.config.sections import Log
logs.configure(Log(), Redactor(["{SECRET[:8]}" + "{SECRET[8:]}"]))
logs.catch_the_uncaught()
raise ValueError("{SECRET[:8]}" + "{SECRET[8:]}")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert SECRET not in ended.stderr
    assert json.loads(ended.stderr.splitlines()[-1])["event"] == "uncaught exception"
