"""Traffic of a weighted service, divided as healthd's own action divides it, so that both may do the same at once."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from healthd.runtime.clock import SystemClock
from healthd_deploy.core.exit import NoAnswer, StepFailed, TargetDown
from healthd_deploy.core.misnamed import Misnamed
from healthd_deploy.core.platform import Strayed
from healthd_deploy.core.steps import wait_until
from healthd_gates.actions import not_divided
from healthd_gates.actions.not_divided import Impossible, NoneUp, NotDivided
from healthd_gates.actions.traefik_file import NotOurs, Weights, Written, own_name
from healthd_gates.actions.traefik_service import (
    ALL,
    Divider,
    WeightedService,
    weight_of,
)

_ROUNDING = 1e-9  # of a share: weights are whole numbers
_EVERY = 0.5  # seconds between two looks at what Traefik sees of a target
_RESTORED = "`healthd-deploy traefik switch {}` gives all of it back"


class Traffic:
    """The file of the weighted service, which is the only state: who has the traffic, and the version of each target.
    Methods raise StepFailed with a sentence that says what to do."""

    proxy = "traefik"

    def __init__(self, service: WeightedService) -> None:
        self._service = service
        self._divider = Divider(service, SystemClock())

    @property
    def place(self) -> str:
        """The service and its file, for people."""
        return f"{self._service.service} in {self._service.file}"

    @property
    def targets(self) -> Collection[str]:
        """The two targets."""
        return self._service.services

    async def check_places(self) -> None:
        """Raise Misnamed for a file that cannot be written or holds something else, and for an address that is not of
        Traefik's API."""
        self.check_record()
        try:
            await self._divider.file.read()
        except NotOurs as refused:
            raise Misnamed(("traffic", "file"), str(refused)) from None
        except OSError as error:
            why = error.strerror or str(error)
            raise Misnamed(("traffic", "file"), f"{self._service.file} cannot be read: {why}") from None
        try:
            await self._divider.check_apis()
        except NotDivided as failed:
            raise _as_step(failed) from None

    async def remarks(self) -> Collection[str]:
        """Return nothing: what may work against weights, such as `sticky`, is in the file itself."""
        return ()

    async def shares(self) -> Mapping[str, float]:
        """Return the share of the traffic, from 0 to 1, of each target."""
        weights = (await self._written()).weights
        names = {own_name(service): target for target, service in self._service.services.items()}
        strangers = [name for name, weight in weights.items() if weight and name not in names]
        total = sum(weights.values())
        if strangers or not total:
            others = f"sends traffic to {', '.join(strangers)}" if strangers else "sends traffic nowhere"
            raise StepFailed(f"{self.place} {others}, and not between {' and '.join(self._service.services)}")
        return {target: weights.get(name, 0.0) / total for name, target in names.items()}

    async def differing(self) -> str | None:
        """Return None: all of them watch one file."""
        return None

    async def version(self, target: str) -> str | None:
        """Return the version that was released to a target, None where none is recorded."""
        return (await self._written()).versions.get(target)

    async def note(self, target: str, version: str | None) -> None:
        """Record the version of a target, None for one that is not known."""
        await self._written()
        try:
            await self._divider.file.note(target, version)
        except NotOurs as refused:
            raise StepFailed(str(refused)) from None
        except OSError as error:
            raise StepFailed(f"{self._service.file} cannot be written: {error.strerror or error}") from None

    def check_record(self) -> None:
        """Raise Misnamed where no version could be recorded, with the traffic's own file."""
        folder = self._service.file.parent
        if not os.access(folder, os.W_OK):
            why = "may not be written to by this user" if folder.is_dir() else "is not there"
            said = f"{self._service.file} cannot be written: the folder {folder} {why}"
            raise Misnamed(("traffic", "file"), said)

    async def give(self, target: str, *, even_if_down: bool = False, goes_back: bool = False) -> None:
        """Give a target all of the traffic; return once every Traefik does. Raises TargetDown, with nothing changed,
        where none of its servers is up. What `goes_back` is done at each Traefik that answers, before it raises
        NoAnswer for another one."""
        service, weights = self._service.services[target], self._all_at(target)
        down = even_if_down or (goes_back and await self._has_all(target))  # healthd's own action was faster
        try:
            await self._divider.divide(weights, service, even_if_down=down, goes_back=goes_back)
        except NotDivided as failed:
            raise _as_step(failed) from None

    async def could_take_back(self, target: str) -> None:
        """Check at every Traefik that a target which has all of the traffic could get it again."""
        try:
            await self._divider.look(self._all_at(target), self._service.services[target])
            await self._divider.refuse_full()
        except NotDivided as failed:
            raise _as_step(failed) from None

    async def strayed(self, target: str, share: float = 1.0) -> Strayed | None:
        """Return where a target has another share of the traffic than it was given, in the file or at a Traefik, None
        where it has that everywhere."""
        weights = (await self._written()).weights
        due = self._divided(target, share)
        has = weights.get(own_name(self._service.services[target]), 0.0) / (sum(weights.values()) or 1.0)
        if abs(has - weight_of(share) / ALL) > _ROUNDING:
            gives = f"{self.place} gives {target} {100 * has:.3g} % of the traffic: who wrote the file?"
            cure = _RESTORED.format(target) if share >= 1.0 else f"Its ramp ordered {100 * share:.4g} %"
            return Strayed(gives, in_part=has > 0.0, share=has, cure=cure)
        try:
            told = await self._divider.strayed(due)
        except NotDivided as failed:
            raise _as_step(failed) from None
        return None if told is None else Strayed(told, in_part=True)

    async def is_up(self, target: str, *, within: float) -> None:
        """Wait until every Traefik sees a server of a target up. One that has just started answers its API before it
        has read its files: a service that it does not have is waited for as well."""
        service, weights, says = self._service.services[target], self._all_at(target), ""
        unknown: not_divided.Misnamed | None = None

        async def up() -> bool:
            nonlocal says, unknown
            unknown = None
            try:
                await self._divider.look(weights, service)
            except NoneUp as down:
                says = str(down)
                return False
            except not_divided.Misnamed as missing:
                unknown = missing
                return False
            except NotDivided as failed:
                raise _as_step(failed) from None
            return True

        try:
            await wait_until(up, within=within, every=_EVERY, what=f"{target} is up in Traefik")
        except NoAnswer:
            raise
        except StepFailed as failed:
            if unknown is not None:
                raise _as_step(unknown) from None
            raise StepFailed(f"{failed}{f' ({says})' if says else ''}") from None

    async def close(self) -> None:
        """End the connections."""
        await self._divider.close()

    async def _has_all(self, target: str) -> bool:
        """Return True where the file gives a target all of the traffic; False also where it cannot be read, which
        ends no way back: the write puts it there again, or says what is wrong with it."""
        try:
            weights = (await self._written()).weights
        except StepFailed:
            return False
        return {name for name, weight in weights.items() if weight} == {own_name(self._service.services[target])}

    def _all_at(self, target: str) -> Weights:
        return self._divided(target, 1.0)

    def _divided(self, target: str, share: float) -> Weights:
        """Return the weights that give a target a share of the traffic."""
        other = next(name for name in self._service.services if name != target)
        weight = weight_of(share)
        return {self._service.services[target]: weight, self._service.services[other]: ALL - weight}

    async def _written(self) -> Written:
        """Return what the file says. Raises StepFailed where there is none, or not the tool's."""
        try:
            written = await self._divider.file.read()
        except NotOurs as refused:
            raise StepFailed(str(refused)) from None
        except OSError as error:
            raise StepFailed(f"{self._service.file} cannot be read: {error.strerror or error}") from None
        if not written.weighted:
            raise StepFailed(f"{self._service.file} is not there: `healthd-deploy traefik switch` writes the first one")
        return written


def _as_step(failed: NotDivided) -> StepFailed:
    match failed:
        case not_divided.Misnamed():
            return Misnamed(("traffic", *failed.key), str(failed))
        case NoneUp():
            return TargetDown(str(failed))
        case Impossible():
            return StepFailed(str(failed))
    return NoAnswer(str(failed))
