"""Prerequisites of the host before anything is changed: variables, programs, folders, disk space."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from healthd_deploy.core.exit import CouldNotAsk
from healthd_deploy.host.processes import Processes
from healthd_deploy.host.settings import HostConfig, MongodbDump, PostgresqlDump


async def met(config: HostConfig, processes: Processes) -> str:
    """Return what to report. Raises CouldNotAsk with all that is missing."""
    if missing := list(_missing(config)):
        raise CouldNotAsk("; ".join(missing))
    await processes.refuse_another()
    instances = await processes.instances()
    if not instances:
        return f"all there; {config.pm2.app} does not run yet"
    if any(one.mode != "cluster_mode" for one in instances):
        return f"all there, but {config.pm2.app} runs in fork mode: a reload stops it first (set exec_mode: cluster)"
    return "all there"


def _missing(config: HostConfig) -> Iterator[str]:
    for name in config.required():
        if not os.environ.get(name, "").strip():
            yield f"the variable {name} is not set"
    for name in _programs(config):
        if shutil.which(name) is None:
            yield f"the program {name} is not there{_HINTS.get(Path(name).name, '')}"
    if not (config.home.is_dir() and os.access(config.home, os.W_OK)):
        yield f"home: {config.home} is not a folder that this user may write to"
    if not config.pm2.ecosystem.is_file() and not config.pm2.ecosystem.is_relative_to(config.home / "current"):
        yield f"pm2.ecosystem: there is no {config.pm2.ecosystem}"
    for name in config.shared:
        if not (config.home / "shared" / name).exists():
            yield f"shared: there is no {config.home / 'shared' / name}"
    for folder in dict.fromkeys((_existing(config.home), _existing(config.backups))):
        if (free := shutil.disk_usage(folder).free) < config.free:
            yield f"{folder} has {free // 1024**2} MiB free, and {config.free // 1024**2} MiB must be (free)"


def _programs(config: HostConfig) -> Iterator[str]:
    yield from ("node", config.install.argv[0], config.pm2.program)
    if config.migrations is not None:
        yield config.migrations.argv[0]
    for dump in config.backup.dumps:
        match dump:
            case PostgresqlDump():
                yield from (dump.program, dump.restore)
            case MongodbDump():
                yield dump.program


_HINTS = {
    "pm2": ": npm install --global pm2",
    "pg_dump": ": install postgresql-client, of the server's version or newer",
    "pg_restore": ": install postgresql-client, of the server's version or newer",
    "mongodump": ": install the MongoDB Database Tools, or leave out backup.mongodb",
}


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
