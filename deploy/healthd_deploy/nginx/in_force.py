"""Test whether a file that is switched would be in force: the NGINX that runs reads it, and uses the upstream."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path, PurePath

from healthd_deploy.core import program
from healthd_deploy.core.exit import COULD_NOT_ASK, NothingSwitched, StepFailed
from healthd_deploy.nginx import loaded
from healthd_deploy.nginx.loaded import Configuration
from healthd_deploy.nginx.running import Master, built_with, is_over, orphans
from healthd_deploy.nginx.settings import Upstream
from healthd_deploy.nginx.upstream_file import UpstreamFile

_LOCAL = ("nginx", "sudo")


class AnotherInForce(NothingSwitched):
    """The running NGINX has another configuration file than the one that is tested: nothing would be switched."""

    code = COULD_NOT_ASK

    def __init__(self, running: Path, tested: Path, pid: int) -> None:
        super().__init__(
            f"NGINX (process {pid}) runs with {running}, but upstream.test checks {tested}, so that nothing would be "
            f"switched: name `-c {running}` in upstream.test and upstream.reload, or start NGINX with `-c {tested}`"
        )


async def checked(config: Upstream, file: UpstreamFile, *, even_if_stopped: bool = False) -> Configuration:
    """Return NGINX's configuration. Raises StepFailed where it does not include the file, or use it, or no NGINX runs:
    nothing would be switched. The first file may be there before NGINX runs, which needs it to start."""
    before = file.line()
    configuration = await loaded.read(config)
    if (line := file.line()) is not None:
        configuration.refuse_without({before, line}, config.file)  # a dry run may meet a switch
        if not even_if_stopped and (why := stopped(config, configuration)) is not None:
            raise NothingSwitched(f"{why}; nothing is switched")
        await refuse_unused(config, configuration)
    return configuration


async def tested(config: Upstream) -> None:
    """Have NGINX check its configuration. Raises StepFailed, with the line to add where it lacks the upstream."""
    try:
        await program.run(config.test, within=config.timeout)
    except StepFailed as failed:
        if type(failed) is StepFailed and f'host not found in upstream "{config.name}"' in str(failed):
            cure = f"add `include {config.file};` to its http block, for nothing there has an upstream {config.name}"
            raise StepFailed(f"{failed}: {cure}") from None
        raise


async def refuse_unused(config: Upstream, configuration: Configuration) -> None:
    """Raise NothingSwitched where NGINX would not use the upstream: it has another file, or nothing names it."""
    await _refuse_another(config, configuration)
    configuration.refuse_unused(config.name)


async def _refuse_another(config: Upstream, configuration: Configuration) -> None:
    """Raise AnotherInForce where the NGINX that runs was started with another file than the one that is tested. Says
    nothing where either is not known."""
    of, tested, pid = loaded.place_of_nginx(config.test), configuration.file, None
    with suppress(FileNotFoundError):
        pid = _process(_pid_file(config, configuration))
    if of is None or tested is None or not pid or not _is_local(config) or (master := Master.of(pid)) is None:
        return
    running = master.file(await built_with(config.test[: of + 1], config.timeout))
    with suppress(OSError):  # of a folder that is another user's
        if running is not None and tested.is_file() and not running.samefile(tested):
            raise AnotherInForce(running, tested, pid)


def stopped(config: Upstream, configuration: Configuration) -> str | None:
    """Return why no NGINX would take a reload, None where one runs, or where it is not known: in another container, or
    on another host."""
    if not configuration.text or not _is_local(config):
        return None
    file = _pid_file(config, configuration)
    try:
        pid = _process(file)
    except FileNotFoundError:
        return f"NGINX is not running (there is no {file}): start it"
    if pid is None:
        return None
    if not pid:
        return f"NGINX is not running ({file} is empty, as `nginx -t` leaves it where none runs): start it"
    if not is_over(pid):
        return None
    over = f"NGINX is not running ({file} has process {pid}, which is over)"
    if left := " ".join(map(str, orphans(pid))):
        return f"{over}, and its workers go on serving what they had loaded: end them (`kill {left}`), and start it"
    return f"{over}: start it"


def _is_local(config: Upstream) -> bool:
    return PurePath(config.test[0]).name in _LOCAL and PurePath(config.reload[0]).name in _LOCAL


def _pid_file(config: Upstream, configuration: Configuration) -> Path:
    return Path(configuration.pid) if configuration.pid is not None else config.pid


def _process(file: Path) -> int | None:
    """Return the process id in a file of the directive `pid`, 0 in an empty one, None where it cannot be read. Raises
    FileNotFoundError."""
    try:
        return int(file.read_text(encoding="ascii").strip() or 0) if file.is_absolute() else None
    except FileNotFoundError:
        raise
    except (OSError, ValueError):
        return None
