"""Options of every kind of hook: the deploys that the tool may start a gate for, and how the tool behaves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import BaseModel, Field

from healthd.config.model import Model, Name
from healthd_gates.domain.request import Deployment, LabelName, LabelValue, VerifyRequest, Version


class Deploys(Model):
    """The gate for one thing that the tool deploys. The tool itself only names the version."""

    service: Name
    """The service, under `services`."""
    policy: Name | None = None
    """The policy; the service's own unless given."""
    target: Name | None = None
    """The target of the service on which the new version runs, if there are several."""
    labels: dict[LabelName, LabelValue] = Field({}, max_length=16)
    """Labels by which the source selects the new version's numbers."""
    baseline: Version | None = None
    """The version that runs beside it, for a policy that compares the two."""
    rollback: Literal["auto", "off"] = "off"
    """`auto` if healthd's own actions roll back as well; the tool does so by itself."""

    def request(self, version: str, deployment: str, caller: str) -> VerifyRequest:
        """Return the request for a gate. Raises ValueError for an invalid version, or for the baseline's."""
        return VerifyRequest(
            service=self.service,
            policy=self.policy,
            candidate=Version(version=version, target=self.target, labels=self.labels),
            baseline=self.baseline,
            deployment=Deployment(id=deployment, actor=caller),
            rollback=self.rollback,
        )


class HookConfig(Model):
    """The options of every kind of hook."""

    kind: str
    """The kind of hook."""

    def deploys(self) -> Iterable[Deploys]:
        """Yield every deploy that the hook may start a gate for; the configuration checks that its names exist."""
        return ()

    def policies(self) -> Iterable[str]:
        """Yield the policies that the hook names for a preflight."""
        return ()

    def entries(self) -> Iterable[tuple[tuple[str | int, ...], Deploys]]:
        """Yield every deploy with the key of its options."""
        keys: dict[int, tuple[str | int, ...]] = {}
        for key, options in _below(self):
            keys.setdefault(id(options), key)
        return [(keys.get(id(deploys), ()), deploys) for deploys in self.deploys()]

    @property
    def alternates(self) -> bool:
        """True if the tool swaps the target groups of both versions at every deployment, so that healthd asks AWS which
        one has the new version."""
        return False

    @property
    def vacates(self) -> bool:
        """True if the tool takes the version off the observed target or labels when it promotes it, and gives them to
        the next one before it asks about that."""
        return False

    @property
    def stops_asking(self) -> bool:
        """True if the tool asks nothing more after a pass, though its rollout goes on."""
        return False


def _below(options: object) -> Iterator[tuple[tuple[str | int, ...], Deploys]]:
    """Yield every deploy below some options with its key there, in order."""
    if isinstance(options, Deploys):
        yield (), options
        return
    below: Iterable[tuple[str | int, object]] = ()
    if isinstance(options, dict):
        below = options.items()
    elif isinstance(options, BaseModel):
        below = options
    elif isinstance(options, list | tuple):
        below = enumerate(options)
    for name, each in below:
        yield from (((name, *key), deploys) for key, deploys in _below(each))
