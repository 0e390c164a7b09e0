"""Progress of a run: lines, and a progress bar on a terminal. On stderr, with secrets redacted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from healthd.runtime.clock import Clock
from healthd.runtime.redaction import Redactor

_EVERY = 10.0  # seconds between two lines where there is no progress bar


class Console:
    """Lines with the seconds since the run began."""

    def __init__(self, clock: Clock, redact: Redactor, *, quiet: bool = False) -> None:
        self._clock, self._redact, self._quiet = clock, redact, quiet
        self._begun = clock.steady()

    def say(self, text: str, mark: str = "·") -> None:
        """Print one line."""
        if not self._quiet:
            click.echo(f"{self._clock.steady() - self._begun:7.1f} s  {mark} {self._redact(text)}", err=True)

    def done(self, text: str) -> None:
        """Print one line about a completed step."""
        self.say(text, "✓")

    @contextmanager
    def bar(self, title: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """Yield a function to call with the number of further rows."""
        drawn = not self._quiet and sys.stderr.isatty()
        with self._drawn(title, total) if drawn else self._told(title, total) as advance:
            yield advance

    @contextmanager
    def _drawn(self, title: str, total: int | None) -> Iterator[Callable[[int], None]]:
        from rich.console import Console as Terminal
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Terminal(stderr=True)) as progress:
            task = progress.add_task(title, total=total)
            yield lambda rows: progress.update(task, advance=rows)

    @contextmanager
    def _told(self, title: str, total: int | None) -> Iterator[Callable[[int], None]]:
        rows, told = 0, self._clock.steady()
        of = f" of about {total:,}" if total is not None else ""

        def advance(more: int) -> None:
            nonlocal rows, told
            rows += more
            if self._clock.steady() - told >= _EVERY:
                told = self._clock.steady()
                self.say(f"{title}: {rows:,}{of} rows")

        yield advance
        self.say(f"{title}: {rows:,} rows")
