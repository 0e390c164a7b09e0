"""A release's migrations in a folder, run in the test's own process, or in one that can be killed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from healthd.runtime.clock import SystemClock
from healthd.runtime.redaction import Redactor
from healthd_deploy.migrate.console import Console
from healthd_deploy.migrate.history import Row, Status
from healthd_deploy.migrate.settings import MigrateConfig
from healthd_deploy.migrate.sites import connected, releases
from healthd_deploy.migrate.stop import Stop
from healthd_deploy.migrate.work import Work, planned
from tests.servers import forked

COMMAND = Path(sys.executable).with_name("healthd-deploy")
QUICK: dict[str, Any] = {
    "batches": {"size": 10, "pause": "0s"}, "phase_pause": "0s", "lock_wait": "20s", "attempts": 3, "time_limit": "60s",
}  # fmt: skip


@dataclass
class Bench:
    """The migrations of one database, in `folder`."""

    folder: Path
    place: dict[str, Any]
    """`{"postgresql": {"uri": …}}` or `{"mongodb": {"uri": …}}`"""
    options: dict[str, Any] = field(default_factory=dict)

    def write(self, name: str, text: str) -> Path:
        """A migration file."""
        file = self.folder / name
        file.write_text(text)
        return file

    def _settings(self, **options: Any) -> dict[str, Any]:
        places = {name: {**place, "directory": str(self.folder)} for name, place in self.place.items()}
        return {**QUICK, **self.options, **options, **places}

    async def up(self, *, stop: Stop | None = None, **options: Any) -> int:
        """Apply; how many were."""
        work, config = self._work(stop, options)
        async with connected(releases(config)) as sites:
            return await work.up(sites, out_of_order=False)

    async def down(self, name: str, *, and_later: bool = False) -> list[str]:
        work, config = self._work(None, {})
        async with connected(releases(config)) as sites:
            return await work.down(sites, name, and_later=and_later)

    async def resolve(self, name: str, status: Status) -> None:
        work, config = self._work(None, {})
        async with connected(releases(config)) as sites:
            await work.resolve(sites, name, status)

    async def problems(self) -> list[str]:
        """What speaks against going on."""
        async with connected(releases(self._work(None, {})[1])) as sites:
            return [problem for it in await planned(sites) for problem in it.problems]

    async def rows(self) -> dict[str, Row]:
        """The history."""
        async with connected(releases(self._work(None, {})[1])) as sites:
            return {row.name: row for site in sites for row in await site.store.history()}

    def _work(self, stop: Stop | None, options: dict[str, Any]) -> tuple[Work, MigrateConfig]:
        config, clock = MigrateConfig.model_validate(self._settings(**options)), SystemClock()
        return Work(config, clock, Console(clock, Redactor()), stop or Stop(clock, config.time_limit)), config

    def configured(self, **options: Any) -> Path:
        """The configuration as a file."""
        file = self.folder.parent / f"{self.folder.name}.config"
        with file.open("w") as out:
            YAML(typ="safe", pure=True).dump(self._settings(**options), out)
        return file

    def run(self, *words: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        """`healthd-deploy migrate WORDS` to its end."""
        command = forked.program("healthd-deploy")
        argv: list[str | Path] = [command, "migrate", *words, "-c", self.configured(**options)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    @contextmanager
    def running(self, *words: str, **options: Any) -> Iterator["subprocess.Popen[str]"]:
        """The same, under way."""
        argv: list[str | Path] = [COMMAND, "migrate", *words, "-c", self.configured(**options)]
        pipe = subprocess.PIPE
        with subprocess.Popen(argv, stdout=pipe, stderr=pipe, text=True, env={**os.environ}) as process:
            try:
                yield process
            finally:
                process.kill()
