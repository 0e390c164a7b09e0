"""Nagios plug-in, or any program that keeps its protocol: exit code, a line of text, performance data."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, SecretStr

from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.performance import performance_data
from healthd.checks.program_run import NotRunError, ProgramRun
from healthd.model import FailureKind, Result
from healthd.runtime.program import PATH, trouble_with
from healthd.runtime.redaction import Redactor
from healthd.units import Duration

_KEPT = 16_384  # bytes of output
_SENSITIVE = re.compile(r"pass|secret|token|key|credential|auth", re.IGNORECASE)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _words(words: tuple[str, ...]) -> tuple[str, ...]:
    if not words[0]:
        raise ValueError("the first word names the program")
    if any("\0" in word for word in words):
        raise ValueError("a word holds a zero byte")
    return words


def _variables(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a variable that can be handed on")
    return names


def _values(variables: dict[str, SecretStr]) -> dict[str, SecretStr]:
    _variables(tuple(variables))
    return variables


class ExecConfig(CheckConfig):
    kind: Literal["exec"] = "exec"
    argv: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_words)]
    """The program and its arguments; no shell reads them."""
    cwd: Path = Path("/")
    """The directory in which it runs."""
    pass_env: Annotated[tuple[str, ...], AfterValidator(_variables)] = ()
    """Names of the daemon's own variables to pass on; without them the program has only PATH."""
    env: Annotated[dict[str, SecretStr], AfterValidator(_values)] = Field(default_factory=dict)
    """More variables; their values are treated as secrets."""
    timeout: Duration = 10.0
    """Hard deadline of a probe; the program and all that it started are then killed."""
    interval: Duration = 60.0
    """Time between probes, plus or minus a tenth."""

    def environment(self, environ: Mapping[str, str]) -> Mapping[str, str]:
        """Return the variables that the program gets, of the daemon's `environ` and its own."""
        given = {name: environ[name] for name in self.pass_env if name in environ}
        own = {name: value.get_secret_value() for name, value in self.env.items()}
        return {"PATH": PATH, **given, **own}

    def problem_here(self, environ: Mapping[str, str]) -> str | None:
        """Return why the program cannot be run on this host; None if no reason is found."""
        return trouble_with(self.argv[0], self.environment(environ)["PATH"], self.cwd)


class Exec:
    """Healthy at exit code 0, degraded at 1, unhealthy at 2, at 3 (which means that the plug-in could not tell), at any
    other code, at a signal, and when it is not done in time."""

    config_model: ClassVar[type[ExecConfig]] = ExecConfig

    def __init__(self, config: ExecConfig, context: CheckContext) -> None:
        self._config, self._environ = config, context.environ
        self._run = ProgramRun(config.argv, patience=config.patience, keep=_KEPT, beginning=True)
        handed_on = (context.environ.get(name, "") for name in config.pass_env if _SENSITIVE.search(name))
        self._redact = Redactor(value for value in handed_on if value)

    async def probe(self) -> Result:
        try:
            code, output = await self._run.to_the_end(self._config.environment(self._environ), self._config.cwd)
        except NotRunError as error:
            return error.result
        return _result(code, self._redact(output))

    async def close(self) -> None:
        """Kill what still runs."""
        self._run.kill()


def _result(code: int, output: str) -> Result:
    text, measures = performance_data(output)
    said = f": {text}" if text else ""
    match code:
        case 0:
            found = Result.healthy(text)
        case 1:
            found = Result.degraded(FailureKind.THRESHOLD, text or "warning, without a word")
        case 2:
            found = Result.unhealthy(FailureKind.THRESHOLD, text or "critical, without a word")
        case 3:
            found = Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, f"the plug-in could not tell{said}")
        case 126 | 127:  # of a wrapper
            found = Result.unhealthy(FailureKind.MISCONFIGURED, f"exit code {code}: what it runs is not there{said}")
        case _ if code < 0:
            found = Result.unhealthy(FailureKind.INTERNAL, f"ended by {_signal(-code)}{said}")
        case _:
            found = Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, f"exit code {code} is none of a plug-in's{said}")
    return replace(found, observed={it.name: it.value for it in measures}, measures=measures)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
