"""Steps of a deploy: each is reported and timed, and a change can be undone in reverse order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import click

from healthd.runtime.redaction import Redactor
from healthd.units import show_duration
from healthd_deploy.core.exit import NoAnswer, StepFailed

ResultT = TypeVar("ResultT")
Act = Callable[[], Awaitable[ResultT]]
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 15.0  # seconds between two attempts to undo a step


@dataclass(frozen=True, slots=True)
class _Undo:
    what: str
    act: Act[None]


class Steps:
    """Steps of a deploy, one line per step on stderr; the output of programs is shown here too, with secrets redacted.

    In a dry run steps that change something are reported and not carried out; steps that only read are carried out.
    """

    def __init__(
        self, *, dry_run: bool = False, quiet: bool = False, redact: Redactor | None = None, undo_within: float = 0.0
    ) -> None:
        self.dry_run, self.quiet, self._undo_within = dry_run, quiet, undo_within
        self.redact = redact or Redactor()
        self._begun = time.monotonic()
        self._undos: list[_Undo] = []
        self._keeps: list[_Undo] = []

    @property
    def seconds(self) -> float:
        """Seconds since the deploy began."""
        return time.monotonic() - self._begun

    def say(self, text: str, mark: str = "·") -> None:
        """Print one line, with the seconds since the deploy began."""
        if not self.quiet:
            click.echo(f"{self.seconds:7.1f} s  {mark} {self.redact(text)}", err=True)

    async def look(self, what: str, act: Act[ResultT]) -> ResultT:
        """Run a step that changes nothing. What `act` raises is reported and raised."""
        return await self._told(what, act)

    async def do(
        self,
        what: str,
        act: Act[object],
        *,
        undo: tuple[str, Act[None]] | None = None,
        keep: tuple[str, Act[None]] | None = None,
    ) -> None:
        """Run a step that changes something.

        `undo`, a sentence and a function, is stored before the step starts: a step that failed halfway is undone too,
        so it must establish a state and do nothing where that exists already. `keep` is done instead of it where the
        deploy is left in place, so that a later deploy does not go back behind it. Either is done once where two steps
        have the same one.
        """
        if self.dry_run:
            self.say(f"would {what}", "○")
            return
        if undo is not None:
            _add(_Undo(*undo), self._undos)
        if keep is not None:
            _add(_Undo(*keep), self._keeps)
        await self._told(what, act)

    def undo_last(self, what: str, act: Act[None]) -> None:
        """Store what is undone after everything else, such as a schema that the code before needs only once it is
        back."""
        if not self.dry_run:
            self._undos.insert(0, _Undo(what, act))

    async def afterwards(self, what: str, act: Act[None], *, wait: float) -> None:
        """Run a step after the deploy's outcome is decided: its failure is reported, as is an interrupt before it, and
        changes nothing of the outcome."""
        if wait and not self.dry_run:
            self.say(f"{what} in {show_duration(wait)}")
            try:
                await asyncio.sleep(wait)
            except asyncio.CancelledError:
                self.say(f"{what}: left out, interrupted", "✗")
                return
        with suppress(StepFailed):
            await self.do(what, act)

    def settled(self) -> None:
        """Keep the deploy: nothing that was done so far will be undone."""
        self._undos.clear()

    async def leave(self) -> None:
        """Leave in place what was done, and note that for later deploys. Raises nothing: failures are reported."""
        self._undos.clear()
        until = time.monotonic() + self._undo_within
        while self._keeps:
            with suppress(Exception):
                await self._undone(self._keeps.pop(0), until)

    async def unwind(self) -> Sequence[str]:
        """Undo what was done, last first. Return what could not be undone, each with why.

        What may pass, such as a platform that does not answer, is retried for `undo_within`: this tool may be the only
        one to undo it.
        """
        left = []
        until = time.monotonic() + self._undo_within
        while self._undos:
            undo = self._undos.pop()
            try:
                await self._undone(undo, until)
            except Exception as error:
                left.append(_failure(undo.what, error))
        return left

    async def _undone(self, undo: _Undo, until: float) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                return await self._told(undo.what, undo.act)
            except NoAnswer:
                if (rest := until - time.monotonic()) < pause:
                    raise
            self.say(f"{undo.what}: tried again in {pause:g} s, for {show_duration(round(rest))} more at most")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _told(self, what: str, act: Act[ResultT]) -> ResultT:
        start = time.monotonic()
        self.say(f"{what} …")
        try:
            result = await act()
        except asyncio.CancelledError:
            self.say(f"{what}: interrupted", "✗")
            raise
        except Exception as error:
            self.say(_failure(what, error), "✗")
            raise
        took = time.monotonic() - start
        said = f": {result}" if isinstance(result, str) else ""
        self.say(f"{what}{said} ({took:.1f} s)" if took >= 1 else f"{what}{said}", "✓")
        return result


def _failure(what: str, error: Exception) -> str:
    return f"{what}: {str(error) or type(error).__name__}"


def _add(undo: _Undo, to: list[_Undo]) -> None:
    """Append it as the newest, once."""
    if undo in to:
        to.remove(undo)
    to.append(undo)


async def wait_until(holds: Callable[[], Awaitable[bool]], *, within: float, every: float, what: str) -> None:
    """Poll a condition until it holds, with `every` seconds between. Raises StepFailed after `within` seconds.

    A poll that fails (NoAnswer) says nothing about the condition: the next one may succeed.
    """
    unanswered = ""
    try:
        async with asyncio.timeout(within):
            while True:
                try:
                    if await holds():
                        return
                    unanswered = ""
                except NoAnswer as error:
                    unanswered = f"; the last look failed: {error}"
                await asyncio.sleep(every)
    except TimeoutError:
        raise StepFailed(f"{what}: not within {within:g} s{unanswered}") from None
