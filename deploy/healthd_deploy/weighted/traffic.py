"""Traffic that a proxy divides by weights, and the record of what is on its targets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from healthd_deploy.core.platform import Strayed


class WeightedTraffic(Protocol):
    """Traffic of two targets, named as in healthd's configuration. Methods raise StepFailed with a sentence that says
    what to do."""

    @property
    def proxy(self) -> str:
        """The proxy's name, as in `healthd-deploy NAME`."""
        ...

    @property
    def place(self) -> str:
        """Place where the weights are, for people."""
        ...

    @property
    def targets(self) -> Collection[str]:
        """The two targets."""
        ...

    async def check_places(self) -> None:
        """Raise Misnamed where the configuration has an address at which no proxy could answer: better now than after
        a release."""
        ...

    async def remarks(self) -> Collection[str]:
        """Return what works against the weights, for people."""
        ...

    async def shares(self) -> Mapping[str, float]:
        """Return the share of the traffic, from 0 to 1, of each target."""
        ...

    async def differing(self) -> str | None:
        """Return how the proxies differ in what they divide, and the command that ends it, None where they agree."""
        ...

    async def give(self, target: str, *, even_if_down: bool = False, goes_back: bool = False) -> None:
        """Give a target all of the traffic; return once every proxy does. Raises TargetDown, with nothing changed,
        where the target could not take it. What `goes_back` is done at each proxy that answers, before it raises
        NoAnswer for another one."""
        ...

    async def could_take_back(self, target: str) -> None:
        """Check at every proxy that a target which has all of the traffic could get it again."""
        ...

    async def strayed(self, target: str, share: float = 1.0) -> Strayed | None:
        """Return what a proxy does where a target that was given a share of the traffic (0 to 1) has another one, None
        where every proxy gives it that."""
        ...

    async def is_up(self, target: str, *, within: float) -> None:
        """Wait until every proxy sees a target up."""
        ...

    async def version(self, target: str) -> str | None:
        """Return the version that was released to a target, None where none is recorded."""
        ...

    async def note(self, target: str, version: str | None) -> None:
        """Record the version of a target, None for one that is not known."""
        ...

    def check_record(self) -> None:
        """Raise StepFailed where no version could be recorded: better now than after a release."""
        ...

    async def close(self) -> None:
        """End the connections."""
        ...
