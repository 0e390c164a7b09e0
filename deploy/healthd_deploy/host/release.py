"""Release on one host: one function shows all of it, and the undo of each step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from healthd_deploy.core.gate_request import Arm, arm
from healthd_deploy.core.session import GateSession
from healthd_deploy.core.steps import Steps
from healthd_deploy.host.host import Host, Standing
from healthd_deploy.host.serving import while_it_serves
from healthd_deploy.host.settings import HostConfig


@dataclass(frozen=True, slots=True)
class HostRelease:
    """Parts of one release. `key` names it: run again with the same key, it continues."""

    host: Host
    gate_session: GateSession
    steps: Steps
    config: HostConfig
    key: str

    async def deploy(self, version: str) -> None:
        """Prepare beside the running release, switch, and stay only if it is healthy and the gates pass. Raises
        Stopped.

        Killed at any point and run again, it continues: complete parts stay, incomplete ones are made again, and the
        state to put back was stored before the switch. A version that is current and settled already is only judged.
        """
        steps, host, plan = self.steps, self.host, self.config.gates
        if not steps.dry_run:
            host.folders.claim()
        if host.is_settled(version):
            steps.say(f"{version} is current already")
            await self.gate_session.left_before((plan.after,), self._arm(version))
            await self.gate_session.earlier.not_quarantined(version)
            await self.gate_session.stays(plan.after, self._arm(version))
            await self._tidy()
            return
        standing, candidate = host.standing(version), self._arm(version)
        baseline = self._arm(standing.baseline) if standing.baseline else None
        back = (f"put {standing.baseline or 'nothing'} back", lambda: self._back(standing))
        kept = (f"note that {version} stays", lambda: host.left_in_place(version))
        resumed = host.is_left(self.key, version)
        at_its_gate = resumed and await self.gate_session.earlier.left(plan.after, candidate) is not None
        if standing.unfinished is not None:
            going_on = f"go on where the deploy {standing.unfinished.key} was left"
            await steps.do(going_on, self._exposed if resumed else _nothing, undo=back, keep=kept if resumed else None)
        begun = host.has_begun(self.key, version)
        if begun:  # it was migrated before its switch, and healthd puts back the release alone
            self._undo_migrations_last(version)
        await steps.look("what the host must have", host.ready)
        if not at_its_gate:  # else its switch is done, and its verdict may have put the version in quarantine
            await self._may_begin(candidate, baseline)
            await self._prepare(version, standing, migrated=begun)
            await self.gate_session.lock.hold()
            switch = f"switch current from {standing.baseline or 'nothing'} to {version}"
            await steps.do(switch, lambda: self._switch(version, standing), undo=back, keep=kept)
            await steps.do(f"wait until {version} is healthy", lambda: host.healthy(version))
            for policy in self.config.smoke:
                await self.gate_session.passes(policy, candidate, resumed=resumed)
        await self.gate_session.begin(plan.after, candidate, baseline, rolls_back=baseline is not None, resumed=resumed)
        await self._judged()

        steps.settled()
        await self._tidy()

    async def _judged(self) -> None:
        """Wait for the verdict of the gate after the switch, for as long as the application serves."""
        session = self.gate_session
        if self.steps.dry_run:
            await session.verdict()
            return
        has_ended = partial(session.followed.has_moved_on, 1.0)
        await while_it_serves(session.verdict(), self.host.processes.lost, has_ended)

    async def _may_begin(self, candidate: Arm, baseline: Arm | None) -> None:
        """Raise unless the gates before the release pass, and healthd would start those after it."""
        session = self.gate_session
        await session.earlier.not_quarantined(candidate["version"])
        for policy in self.config.gates.before:
            await session.passes(policy, candidate)
        await session.admission.could_begin(self.config.smoke, candidate)
        await session.admission.could_begin(
            (self.config.gates.after,), candidate, baseline, rolls_back=baseline is not None
        )

    async def _prepare(self, version: str, standing: Standing, *, migrated: bool) -> None:
        """Make all beside the running release that the switch needs."""
        steps, host = self.steps, self.host
        await steps.do("back up", lambda: host.back_up(self.key, version, standing.baseline))
        await steps.do(f"fetch, unpack and install {version}", lambda: host.unpack(version))
        if (migrations := self.config.migrations) is not None:
            if not migrated:
                self._undo_migrations_last(version)
            await steps.do("migrate", lambda: host.migrate(migrations, version))

    async def _tidy(self) -> None:
        await self.steps.afterwards("note that it was promoted", self.host.promoted, wait=0)
        await self.steps.afterwards("remove what is older than is kept", self.host.prune, wait=0)

    async def _exposed(self) -> None:
        """Note that the version has traffic already: it was left so."""
        self.gate_session.report.exposed(before=True)

    async def _switch(self, version: str, standing: Standing) -> None:
        self.gate_session.report.exposed()
        await self.host.switch(self.key, version, standing)

    async def _back(self, standing: Standing) -> None:
        await self.host.put_back(standing)
        self.gate_session.report.back()

    def _undo_migrations_last(self, version: str) -> None:
        """Have the migrations undone when the old release is back: the new one needs its schema until then."""
        migrations = self.config.migrations
        if migrations is not None and (undo := migrations.undo) is not None:
            self.steps.undo_last(
                "undo the migrations", lambda: self.host.migrate_back(undo, migrations.timeout, version)
            )

    def _arm(self, version: str) -> dict[str, Any]:
        side = arm(version, self.config.target or "")
        return side if self.config.target else {"version": side["version"]}


async def _nothing() -> None:
    """Do nothing: only the undo of the step matters."""
