"""Unit of systemd: whether it is active, stays so, and how it ended; or whether any unit of the host is failed."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import ClassVar

from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.program_run import NotRunError, ProgramRun
from healthd.checks.restarts import Restarts
from healthd.checks.systemd_state import PROPERTIES, SystemdConfig, judge, judge_all, properties, restarts_of
from healthd.model import FailureKind, Result
from healthd.runtime.program import PATH

_KEPT = 65_536  # bytes of output
_SHOW = ("systemctl", "show", "--no-pager", f"--property={','.join(PROPERTIES)}", "--")
_LIST = ("systemctl", "list-units", "--failed", "--plain", "--no-legend", "--full", "--no-pager")
_NO_SYSTEMD = tuple(f"connect to bus: {why}" for why in ("Host is down", "No such file or directory"))


class Systemd:
    """Asks systemd by one call of `systemctl`, which changes nothing and needs no right."""

    config_model: ClassVar[type[CheckConfig]] = SystemdConfig

    def __init__(self, config: SystemdConfig, context: CheckContext) -> None:
        self._config, self._clock = config, context.clock
        self._restarts = Restarts(config.window)
        argv = _LIST if config.unit_name is None else (*_SHOW, config.unit_name)
        self._run = ProgramRun(argv, patience=config.patience, keep=_KEPT)

    async def probe(self) -> Result:
        try:
            code, output = await self._run.to_the_end({"PATH": PATH, "LC_ALL": "C"})
        except NotRunError as error:
            return error.result
        if code != 0:
            return _refused(output)
        return self._all(output) if self._config.unit_name is None else self._one(output)

    async def close(self) -> None:
        """Kill what still runs."""
        self._run.kill()

    def _one(self, output: str) -> Result:
        unit = properties(output)
        if not {"LoadState", "ActiveState", "SubState"} <= unit.keys():
            return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, "`systemctl show` printed no state of a unit")
        restarts = restarts_of(unit)
        if restarts is not None:
            counted = self._restarts.count({"unit": restarts}, self._clock.now().timestamp())
            restarts = counted["unit"]
        return judge(unit, restarts, self._config)

    def _all(self, output: str) -> Result:
        every = [line.split()[0] for line in output.splitlines() if line.strip()]
        ignored = [name for name in every if any(fnmatchcase(name, each) for each in self._config.ignore)]
        return judge_all([name for name in every if name not in ignored], ignored)


def _refused(output: str) -> Result:
    lines = [line for line in output.splitlines() if line.strip()] or ["without a word"]
    if any(mark in output for mark in _NO_SYSTEMD):
        says = "systemd does not run here, as in a container: check its units from the host itself"
        return Result.unhealthy(FailureKind.MISCONFIGURED, says)
    denied = any(mark in output for mark in ("Access denied", "Permission denied", "Operation not permitted"))
    kind = FailureKind.PERMISSION if denied else FailureKind.UNEXPECTED_RESPONSE
    return Result.unhealthy(kind, f"systemctl: {lines[-1].strip()}")
