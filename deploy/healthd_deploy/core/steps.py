"""The steps of a deploy: each is told and timed, and what changes something can be undone in reverse order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import click

from healthd.runtime.redaction import Redactor
from healthd.units import show_duration
from healthd_deploy.core.exit import NoAnswer, StepFailed

ResultT = TypeVar("ResultT")
Act = Callable[[], Awaitable[ResultT]]
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 15.0  # seconds between two tries to undo a step


@dataclass(frozen=True, slots=True)
class _Undo:
    what: str
    act: Act[None]


class Steps:
    """What a deploy does, one line a step on stderr; what a program says passes here, so secrets are taken out.

    In a dry run steps that change something are told and not carried out; looks are taken all the same.
    """

    def __init__(
        self, *, dry_run: bool = False, quiet: bool = False, redact: Redactor | None = None, undo_within: float = 0.0
    ) -> None:
        self.dry_run, self.quiet, self._undo_within = dry_run, quiet, undo_within
        self.redact = redact or Redactor()
        self._begun = time.monotonic()
        self._undos: list[_Undo] = []

    @property
    def seconds(self) -> float:
        """Since the deploy began."""
        return time.monotonic() - self._begun

    def say(self, text: str, mark: str = "·") -> None:
        """One line, with the seconds since the deploy began."""
        if not self.quiet:
            click.echo(f"{self.seconds:7.1f} s  {mark} {self.redact(text)}", err=True)

    async def look(self, what: str, act: Act[ResultT]) -> ResultT:
        """A step that changes nothing. Raises what `act` raises, told."""
        return await self._told(what, act)

    async def do(self, what: str, act: Act[object], *, undo: tuple[str, Act[None]] | None = None) -> None:
        """A step that changes something.

        `undo`, a sentence and what to do, is kept from before the step begins: a step that failed halfway is undone
        too, so it must bring about a state and do nothing where that is so already.
        """
        if self.dry_run:
            self.say(f"would {what}", "○")
            return
        if undo is not None:
            self._undos.append(_Undo(*undo))
        await self._told(what, act)

    async def afterwards(self, what: str, act: Act[None], *, wait: float) -> None:
        """A step after the end that matters: its failure is told, and changes nothing of how the deploy ended."""
        if wait and not self.dry_run:
            self.say(f"{what} in {show_duration(wait)}")
            await asyncio.sleep(wait)
        with suppress(StepFailed):
            await self.do(what, act)

    def settled(self) -> None:
        """The deploy may stay: nothing of what was done so far will be undone."""
        self._undos.clear()

    async def unwind(self) -> bool:
        """Undo what was done, last first. Whether all of it could be; what could not is told.

        A platform that does not answer is asked again for `undo_within`: nobody but this tool may be there to do it.
        """
        complete = True
        until = time.monotonic() + self._undo_within
        while self._undos:
            undo = self._undos.pop()
            try:
                await self._undone(undo, until)
            except Exception:
                complete = False
        return complete

    async def _undone(self, undo: _Undo, until: float) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                return await self._told(undo.what, undo.act)
            except NoAnswer:
                if time.monotonic() + pause > until:
                    raise
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
            self.say(f"{what}: {str(error) or type(error).__name__}", "✗")
            raise
        took = time.monotonic() - start
        said = f": {result}" if isinstance(result, str) else ""
        self.say(f"{what}{said} ({took:.1f} s)" if took >= 1 else f"{what}{said}", "✓")
        return result


async def wait_until(holds: Callable[[], Awaitable[bool]], *, within: float, every: float, what: str) -> None:
    """Ask again every so many seconds until it holds. Raises StepFailed after `within` seconds.

    A look that fails (NoAnswer) says nothing about what is looked at: the next one may.
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
