"""One run of a program for a check: bounded time and output, in words for people when it cannot be run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from healthd.model import FailureKind, Result
from healthd.runtime.child_process import LAST_WORDS, ChildProcess
from healthd.runtime.program import trouble_with

_KILL_AFTER = 0.2  # seconds between SIGTERM and SIGKILL


class NotRunError(Exception):
    """The program could not be run, or was not done in time."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    @property
    def result(self) -> Result:
        return Result.unhealthy(self.kind, str(self))


class ProgramRun:
    """The program of one check, of which one runs at a time."""

    def __init__(self, argv: Sequence[str], *, patience: float, keep: int, beginning: bool = False) -> None:
        """`patience` is in seconds; `keep` bytes of the output are kept: of its end, or of its `beginning`."""
        self._argv, self._patience, self._keep, self._beginning = [*argv], patience, keep, beginning
        self._child: ChildProcess | None = None

    async def to_the_end(self, env: Mapping[str, str], cwd: Path = Path("/")) -> tuple[int, str]:
        """Return exit code and output, of stdout and stderr as they came. Raises NotRunError."""
        if (trouble := trouble_with(self._argv[0], env["PATH"], cwd)) is not None:
            raise NotRunError(FailureKind.MISCONFIGURED, trouble)
        self._child = child = ChildProcess(keep=self._keep, beginning=self._beginning)
        whole = max(self._patience - LAST_WORDS, self._patience / 2)
        ask_after = max(whole - _KILL_AFTER, whole / 2)
        try:
            code = await child.to_the_end(self._argv, cwd, env, ask_after, whole)
        except OSError as error:
            raise NotRunError(FailureKind.MISCONFIGURED, f"{self._argv[0]} cannot be run: {error.strerror}") from error
        finally:
            self.kill()
        if code is None:
            raise NotRunError(FailureKind.TIMEOUT, f"{self._argv[0]} was not done within {ask_after:g} s")
        return code, child.output

    def kill(self) -> None:
        """Kill what still runs."""
        if self._child is not None:
            self._child.kill()
