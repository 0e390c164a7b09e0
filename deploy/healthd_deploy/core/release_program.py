"""Release by programs of the user's own, for platforms that move nothing but traffic."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field

from healthd.config.model import Model
from healthd.units import Duration, Span
from healthd_deploy.core import program
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.core.settings import BlueGreenOptions

_SHOWN = 300  # characters of a command that failed
_PLACEHOLDERS = ("$target", "$version")


def _argv(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        for found in re.findall(r"\$\w+", word):
            if found not in _PLACEHOLDERS:
                raise ValueError(f"{found} is not one of {', '.join(_PLACEHOLDERS)}")
    return words


class Program(Model):
    """Program to run."""

    argv: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_argv)]
    """Program and its arguments; $target and $version are replaced. No shell is involved."""
    timeout: Duration = 600.0
    """Timeout of the program."""

    def words(self, target: str, version: str) -> list[str]:
        """Return the arguments with their variables replaced."""
        return [word.replace("$target", target).replace("$version", version) for word in self.argv]

    async def run(self, target: str, version: str) -> None:
        """Run it. Raises StepFailed, with its last words, its target and what was run, where it does not end with 0 in
        time."""
        words = self.words(target, version)
        try:
            await program.run(words, within=self.timeout)
        except StepFailed as failed:
            ran = shlex.join(words)
            ran = ran if len(ran) <= _SHOWN else f"{ran[:_SHOWN]}…"
            raise type(failed)(f"{str(failed).rstrip('.')} (for {target}: {ran})") from None


class ReleasedByPrograms(BlueGreenOptions):
    """Options of a deploy whose versions are released, and cleaned up, by programs."""

    release: Program
    """Program that installs a version on the idle target and ends with 0 when it is ready for traffic; running it twice
    must do no harm."""
    put_back: bool = False
    """True to release the previous version to the idle target again if the deploy fails; by default the version that
    failed stays there, without traffic."""
    retire: Program | None = None
    """Program that cleans up the target that no longer has traffic."""
    retire_after: Span | None = None
    """Time from the pass to that cleanup; without it, the target stays unchanged until the next deploy."""

    @property
    def programs(self) -> Iterable[Program]:
        """Programs that a deploy runs."""
        return (self.release,) if self.retire is None else (self.release, self.retire)
