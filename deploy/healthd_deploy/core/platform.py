"""Platform of a blue-green deploy: what a deploy needs of one, and what one may do beyond."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from healthd_deploy.core.exit import COULD_NOT_ASK


class Platform(Protocol):
    """Platform of a blue-green deploy. Targets are named as in healthd's configuration.

    Every method that changes something establishes a state: where it exists already, it does nothing. They raise
    StepFailed with a sentence that says what to do.
    """

    async def live(self) -> str:
        """Return the target that has the traffic."""
        ...

    async def idle(self) -> str:
        """Return the target without traffic."""
        ...

    async def version(self, target: str) -> str | None:
        """Return the version that was released to a target, or None when none is recorded."""
        ...

    async def release(self, target: str, version: str) -> None:
        """Release a version to a target without traffic; it is ready for traffic when this returns."""
        ...

    async def switch(self, target: str) -> None:
        """Send all the traffic to a target."""
        ...

    async def retire(self, target: str) -> None:
        """Clean up a target that has no traffic and will not be rolled back to."""
        ...


@runtime_checkable
class PutsBack(Protocol):
    """Platform that can put a target back to its state before the release."""

    async def put_back(self, target: str) -> None:
        """Put back a target, only one without traffic."""
        ...


@runtime_checkable
class TakesBack(Protocol):
    """Platform whose way back may go further than a switch would: such as through those of several balancers that
    answer."""

    async def take_back(self, target: str) -> None:
        """Send all the traffic to a target that had it before the switch."""
        ...


@runtime_checkable
class LooksBack(Protocol):
    """Platform that can look, before a switch, whether the way back would work."""

    async def could_take_back(self, target: str) -> str | None:
        """Raise StepFailed if the target that has the traffic could not get it again, such as at a mistyped address.
        Return what could not be looked at, for people; None where nothing is left. Changes nothing."""
        ...


@runtime_checkable
class DividesTraffic(Protocol):
    """Platform that can give a target a part of the traffic, as a ramp needs. Its `live` returns the target that had
    all of it before, until another one has all of it; its `release` refuses a target with a part."""

    async def share(self, target: str) -> float:
        """Return the share of the traffic, from 0 to 1, that a target has."""
        ...


@dataclass(frozen=True, slots=True)
class Strayed:
    """Traffic that a target has no more, though it was given all of it, or another part than its ramp ordered."""

    what: str
    """A sentence on what the proxy does, for people."""
    in_part: bool
    """True if the target still has some of it, or may have."""
    share: float = 0.0
    """The largest share of the traffic, 0 to 1, that a proxy was seen to give it."""
    cure: str = ""
    """The command that gives it the traffic again, or what it was to have, while it is to keep it."""

    @property
    def told(self) -> str:
        """All of it, for people."""
        return f"{self.what} {self.cure}" if self.cure else self.what


@runtime_checkable
class SeesTraffic(Protocol):
    """Platform that can see whether a target still has the traffic that it was given."""

    async def strayed(self, target: str, share: float = 1.0) -> Strayed | None:
        """Return what a proxy does where a target that was given all of the traffic, or the `share` of it that a ramp
        ordered, has another part; None where it has that. Changes nothing. Raises StepFailed where it could not be
        seen."""
        ...


async def standing(platform: Platform, version: str) -> tuple[str, int] | None:
    """Return, of a deploy that could not begin, that its version has the traffic already, and the exit code of one that
    could not ask: by its targets alone nobody knows whether it has passed. None where it has not."""
    live = await platform.live()
    if await platform.version(live) != version:
        return None
    said = f"{version} is on {live}, which has the traffic already, and whether it has passed is not known here"
    return f"{said}: run this again, with its key, once healthd answers", COULD_NOT_ASK


@runtime_checkable
class RunsPrograms(Protocol):
    """Platform that runs programs on this host."""

    def check_programs(self) -> None:
        """Raise NoProgram if one of them is not there: better now than after the release."""
        ...
