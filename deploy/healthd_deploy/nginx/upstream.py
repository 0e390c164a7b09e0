"""File that NGINX includes: the live target of its upstream, and the version on each target. It is the only state."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from math import gcd

from healthd_deploy.core import program
from healthd_deploy.core.exit import NothingSwitched, StepFailed, UnknownTarget
from healthd_deploy.nginx import by_hand, loaded
from healthd_deploy.nginx.able import refuse_dead
from healthd_deploy.nginx.loaded import Configuration
from healthd_deploy.nginx.reloaded import NotTaken, patience, until_reloaded, workers
from healthd_deploy.nginx.settings import Upstream
from healthd_deploy.nginx.state import MARK, State, mark, mark_of

_ALL = 10_000  # of a weight: hundredths of a percent


class _Foreign(StepFailed):
    """The file is an upstream with servers that are those of no target."""


class UpstreamFile:
    """Reads the file, and replaces it atomically."""

    def __init__(self, config: Upstream) -> None:
        self._config = config
        self._in_force: bytes | None = None  # as far as is known: what NGINX was seen to have

    def read(self) -> State:
        """Read the state; of a file that a person wrote, by its servers. Raises StepFailed when there is no such file,
        or it does not tell which target is live."""
        try:
            text = self._config.file.read_text(encoding="utf-8")
        except OSError as error:
            first = "`healthd-deploy nginx switch` writes the first one"
            raise StepFailed(f"{self._config.file} cannot be read: {error.strerror}; {first}") from None
        if line := mark_of(text):
            state = State(**json.loads(line.removeprefix(MARK)))
            if state.live in self._config.targets:
                return state
        found = by_hand.servers(text, self._config.name)
        if found and (live := by_hand.target(found, self._config.targets)) is not None:
            return State(live)
        names = f"{self._config.file} names none of the targets {', '.join(self._config.targets)}"
        if found is None:
            alone = f"upstream.file must have the upstream {self._config.name} alone, for the tool replaces it whole"
            raise StepFailed(f"{names}: {alone}. Move what it has to another file, or take it away")
        its = f", only the servers {', '.join(found)}" if found else ""
        cure = "`healthd-deploy nginx switch` with the target that has the traffic replaces it"
        raise _Foreign(f"{names}{its}: {cure}")

    def _replaceable(self) -> State | None:
        """Return the state of a file that is there, None where a switch replaces one that tells no target."""
        try:
            return self.read()
        except _Foreign:
            return None

    def noted(self, target: str, version: str) -> None:
        """Record the version on a target. The directives stay those that NGINX has accepted."""
        with self._locked():
            state = self.read()
            text = self._config.file.read_text(encoding="utf-8")
            after = mark(replace(state, versions={**state.versions, target: version}))
            self._replace((text.replace(line, after, 1) if (line := mark_of(text)) else f"{after}\n{text}").encode())

    async def look(self, target: str, weight: float = 100.0) -> str:
        """Return what a switch would do now. Changes nothing; raises as the switch would."""
        await self._refuse(target, weight, even_if_dead=False)
        is_there = self._config.file.exists()
        before = self._replaceable() if is_there else None
        live = before.live if before is not None else "no target" if is_there else "nothing"
        if not os.access(self._config.file.parent, os.W_OK):
            raise StepFailed(f"{self._config.file.parent} cannot be written to as this user")
        program.find(self._config.reload[0])
        await self._tested_before(before)
        if weight not in (0.0, 100.0) or (before is not None and before.other):
            now = f", which has {before.share(target):g} %" if before is not None else ""
            return f"{weight:g} % of the traffic would go to {target}{now}"
        goal = target if weight else self._beside(target)
        return f"{goal} has the traffic" if live == goal else f"the traffic would go from {live} to {goal}"

    async def _tested_before(self, before: State | None) -> None:
        """Have NGINX check its configuration. Raises StepFailed where it does not include the file, though that may not
        be there yet, which NGINX then complains of."""
        try:
            await program.run(self._config.test, within=self._config.timeout)
        except StepFailed as failed:
            if before is None and str(self._config.file) in str(failed):
                return
            raise
        configuration = await self._loaded()
        if before is None:
            configuration.refuse_without_include(self._config.file)
            await self._refuse_not_in_force(configuration)

    async def could_take_back(self, target: str) -> None:
        """Check that a target which has all of the traffic could get it again: its servers answer, and NGINX accepts
        the file that a switch would write. Where that differs from what is there, NGINX checks it in its place."""
        await self._refuse(target, 100.0, even_if_dead=False)
        with self._locked():
            before = self._config.file.read_bytes()
            back = self._written(self._after(self.read(), target, 100.0))
            await self._loaded()
            if back != before:
                self._replace(back)
            try:
                await program.run(self._config.test, within=self._config.timeout)
            finally:
                if back != before:
                    self._put_back(before)

    async def switch(
        self,
        target: str,
        weight: float = 100.0,
        *,
        version: str | None = None,
        even_if_dead: bool = False,
        goes_back: bool = False,
        even_if_stopped: bool = False,
    ) -> None:
        """Give a target its percentage of the traffic, and the other one the rest: write, check, reload. A file that
        NGINX refuses, or does not load, is put back: it says which target is live, for the next deploy too. `version`
        records which one the target has.

        A part of the traffic leaves the live target what it is: it is the one to go back to. Raises TargetDown, with
        nothing changed, if the target that gets more traffic does not answer. What `goes_back` to a target that has all
        of the traffic, by healthd's own action, has NGINX load the file as it is.

        An NGINX that is stopped gets no new version. With `goes_back` or `even_if_stopped` the file is written all the
        same, so that NGINX has the right target once somebody starts it, and this raises StepFailed.
        """
        is_back = goes_back and self.read().share(target) == 100.0
        await self._refuse(target, weight, even_if_dead=even_if_dead or is_back)
        with self._locked():
            before = self._config.file.read_bytes() if self._config.file.exists() else None
            known = (self._replaceable() if before is not None else None) or State(self._beside(target))
            if version is not None:
                known = replace(known, versions={**known.versions, target: version})
            wanted = before if before and is_back else self._written(self._after(known, target, weight))
            if before == wanted == self._in_force:
                return
            configuration = await self._loaded(even_if_stopped=goes_back or even_if_stopped)
            stopped = loaded.stopped(self._config, configuration) if before is not None else None
            self._replace(wanted)
            began = time.monotonic()
            try:
                await program.run(self._config.test, within=self._config.timeout)
                if before is None:
                    configuration = await self._loaded(even_if_stopped=True)
            except BaseException as refused:
                self._put_back(before)
                if type(refused) is StepFailed:
                    raise NothingSwitched(str(refused)) from None
                raise
            if stopped is not None:
                goal = target if weight else self._beside(target)
                raise StepFailed(f"{stopped}. {self._config.file} leads to {goal}, which has the traffic from then on")
            patient = patience(time.monotonic() - began, self._config.timeout)
            # Also where the file said so before: its writer may have been killed before the reload.
            try:
                await self._reload(patient, configuration.errors)
            except NotTaken as failure:
                if before is not None:
                    self._put_back(before)
                    self._in_force = before
                    with suppress(StepFailed):  # for the case that `pid` names another NGINX
                        await program.run(self._config.reload, within=self._config.timeout)
                    raise NotTaken(
                        f"{failure}. {self._config.file} is as it was before: nothing was switched"
                    ) from None
                raise StepFailed(await self._taken_back(target, before, str(failure), patient, configuration)) from None
            except StepFailed as failure:
                raise StepFailed(await self._taken_back(target, before, str(failure), patient, configuration)) from None

    async def _loaded(self, *, even_if_stopped: bool = False) -> Configuration:
        """Return NGINX's configuration. Raises StepFailed where it does not include the file, or use it, or no NGINX
        runs: nothing would be switched. The first file may be there before NGINX runs, which needs it to start."""
        before = self._line()
        configuration = await loaded.read(self._config)
        if (line := self._line()) is not None:
            configuration.refuse_without({before, line}, self._config.file)  # a dry run may meet a switch
            if not even_if_stopped and (why := loaded.stopped(self._config, configuration)) is not None:
                raise NothingSwitched(f"{why}; nothing is switched")
            await self._refuse_not_in_force(configuration)
        return configuration

    async def _refuse_not_in_force(self, configuration: Configuration) -> None:
        """Raise NothingSwitched where NGINX would not use the upstream: it has another file, or nothing names it."""
        await loaded.refuse_another(self._config, configuration)
        configuration.refuse_unused(self._config.name)

    def _line(self) -> str | None:
        """Return the line of the file with its state, or the first one of a person's; None where it is not there."""
        if not self._config.file.exists():
            return None
        text = self._config.file.read_text(encoding="utf-8")
        return mark_of(text) or next((line for line in text.splitlines() if line.strip()), "")

    async def _reload(self, patient: float, errors: str) -> None:
        """Reload NGINX; return once its new workers alone take connections. Raises NotTaken, which names where its
        `errors` are, after so many seconds."""
        before = workers(self._config.pid)
        await program.run(self._config.reload, within=self._config.timeout)
        await until_reloaded(self._config.pid, before, within=patient, errors=errors)

    async def _taken_back(
        self, target: str, before: bytes | None, failure: str, patient: float, configuration: Configuration
    ) -> str:
        """Put the file back after a failed reload. Return what became of it, for people.

        The reload may have worked nevertheless, such as one that exceeded its time: NGINX is reloaded once more, now
        with the old file.
        """
        file = self._config.file
        if before is None:  # the first file: NGINX may need it to start at all
            why = loaded.stopped(self._config, configuration)
            cure = why or "NGINX has not loaded it: start NGINX, or reload it"
            return f"{failure}. {file} is written, for {target}: {cure}"
        self._put_back(before)
        try:
            await self._reload(patient, configuration.errors)
        except StepFailed:
            return (
                f"{failure}. {file} is as it was before; NGINX could not be reloaded with it either: see what it runs"
            )
        return f"{failure}. {file} is as it was before, and NGINX is reloaded with it: nothing was switched"

    def _beside(self, target: str) -> str:
        return next(name for name in self._config.targets if name != target)

    def _after(self, known: State, target: str, weight: float) -> State:
        """Return the state in which a target has so many percent of the traffic."""
        if weight in (0.0, 100.0):
            return replace(known, live=target if weight else self._beside(target), other=0.0)
        return replace(known, other=weight if target != known.live else 100.0 - weight)

    async def _refuse(self, target: str, weight: float, *, even_if_dead: bool) -> None:
        """Refuse a target that is not there, or cannot take what it is to get; the way back needs the other one."""
        if target not in self._config.targets:
            raise UnknownTarget(target, self._config.targets)
        if not even_if_dead:
            await refuse_dead(self._config, target if weight else self._beside(target))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Allow one writer at a time: a deploy and a rollback by the daemon may run at once."""
        file = self._config.file.with_suffix(".lock")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            lock = file.open("w")
        except OSError as error:
            raise StepFailed(
                f"{file} cannot be written: {error.strerror}. It needs the rights of that folder"
            ) from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _written(self, state: State) -> bytes:
        """Return the file's content for a state."""
        inside = [f"server {server};" for server in self._config.targets[state.live]]
        if state.other:
            inside = self._weighted(state)
        inside += [f"{option};" for option in self._config.options]
        body = "".join(f"    {line}\n" for line in inside)
        return f"{mark(state)}\nupstream {self._config.name} {{\n{body}}}\n".encode()

    def _weighted(self, state: State) -> list[str]:
        """Return the servers of both targets, with weights that give each target its part whatever their numbers."""
        other = self._beside(state.live)
        parts = {state.live: _ALL - round(state.other * _ALL / 100), other: round(state.other * _ALL / 100)}
        counts = {target: len(self._config.targets[target]) for target in parts}
        weights = {target: part * counts[self._beside(target)] for target, part in parts.items()}
        common = gcd(*weights.values())
        return [
            f"server {server} weight={weights[target] // common};"
            for target in parts
            for server in self._config.targets[target]
        ]

    def _put_back(self, before: bytes | None) -> None:
        if before is None:
            self._config.file.unlink(missing_ok=True)
        else:
            self._replace(before)

    def _replace(self, content: bytes) -> None:
        written = self._config.file.with_suffix(".new")
        with written.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        written.replace(self._config.file)
