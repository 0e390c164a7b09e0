"""State of a unit of systemd, and the status that it means. No I/O here.

The words are those of org.freedesktop.systemd1(5). A unit is `failed` once systemd has given up; until then a service
that dies again and again goes between `active` and `activating (auto-restart)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import StringConstraints, model_validator

from healthd.checks.contract import CheckConfig, Scope
from healthd.checks.finding import Finding, degraded, sum_up, unhealthy
from healthd.checks.limits import NumberLimits, beyond
from healthd.model import FailureKind, JSONScalar, Measure, Result
from healthd.units import Duration, Names, show_duration
from healthd.wording import shape

_TYPE = re.compile(r"\.(service|socket|target|device|mount|automount|swap|timer|path|slice|scope)$")
_UnitName = Annotated[
    str,
    StringConstraints(
        pattern=shape(r"^[A-Za-z0-9:_.\\@-]+$", "the name of a unit, such as nginx.service"), max_length=255
    ),
]
PROPERTIES = (
    "Id", "LoadState", "ActiveState", "SubState", "Result", "Type", "NRestarts", "ExecMainCode", "ExecMainStatus",
    "ExecMainExitTimestampMonotonic", "MemoryCurrent",
)  # fmt: skip
"""Properties of a unit that are asked for; a unit that is no service lacks some."""


class SystemdConfig(CheckConfig):
    kind: Literal["systemd"] = "systemd"
    scope: Scope = Scope.LOCAL
    unit: _UnitName | None = None
    """Unit that must be active; a name without a type is a service's. Without it, no unit of the host may be failed."""
    ignore: Names = ()
    """Units that may be failed, where no `unit` is named; `*` matches any text."""
    restarts: NumberLimits = NumberLimits(degraded=3, unhealthy=10)
    """Limits on the automatic restarts of a service within `window`."""
    window: Duration = 600.0
    """Time in which restarts are counted."""
    timeout: Duration = 5.0
    """Hard deadline of a probe."""
    interval: Duration = 30.0
    """Time between probes, plus or minus a tenth."""

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        if self.unit is not None and self.ignore:
            raise ValueError("ignore is for a check of all units: write it without unit")
        if self.unit is None and {"restarts", "window"} & self.model_fields_set:
            raise ValueError("restarts and window are of one service: name it by unit")
        return self

    @property
    def unit_name(self) -> str | None:
        """Name of the unit with its type."""
        if self.unit is None or _TYPE.search(self.unit):
            return self.unit
        return f"{self.unit}.service"


def properties(output: str) -> dict[str, str]:
    """Return the properties that `systemctl show` printed, one a line in any order."""
    return {name: value for name, mark, value in (line.partition("=") for line in output.splitlines()) if mark}


def restarts_of(unit: Mapping[str, str]) -> int | None:
    """Return how often systemd restarted a service; None of what is no service."""
    count = unit.get("NRestarts", "")
    return int(count) if count.isdigit() else None


def judge(unit: Mapping[str, str], restarts: int | None, config: SystemdConfig) -> Result:
    """Return the result for a unit's properties, and its restarts within the window."""
    state = f"{unit['ActiveState']} ({unit['SubState']})"
    if unit["ActiveState"] == "inactive" and (trouble := _not_loaded(unit["LoadState"])):
        return Result.unhealthy(FailureKind.MISCONFIGURED, f"{config.unit_name} {trouble}")
    found = list(_wrong(unit, state, config))
    observed: dict[str, JSONScalar | list[str]] = {"state": state, "result": unit.get("Result")}
    measures = []
    if restarts is not None:
        found += beyond(f"restarts within {show_duration(config.window)}:", restarts, config.restarts)
        observed["restarts"] = restarts
        measures.append(Measure("restarts", restarts))
    if (memory := unit.get("MemoryCurrent", "")).isdigit() and int(memory) < 2**64 - 1:
        observed["memoryBytes"] = int(memory)
        measures.append(Measure("memory", int(memory), "B"))
    return sum_up(found, fine=_fine(unit, state), observed=observed, measures=tuple(measures))


def judge_all(failed: list[str], ignored: list[str]) -> Result:
    """Return the result for the names of all units that are failed."""
    observed: dict[str, JSONScalar | list[str]] = {"failed": failed, "ignored": ignored}
    found = [unhealthy(f"failed: {', '.join(failed)}")] if failed else []
    return sum_up(found, fine="no unit is failed", observed=observed, measures=(Measure("failed", len(failed)),))


def _wrong(unit: Mapping[str, str], state: str, config: SystemdConfig) -> Iterator[Finding]:
    last = f", after {_ending(unit)}" if unit.get("Result", "success") != "success" else ""
    match unit["ActiveState"], unit["SubState"]:
        case "active", "exited" if unit.get("Type") not in (None, "", "oneshot"):
            yield degraded(f"{config.unit_name} is {state}: none of its processes runs any more")
        case (("active" | "reloading" | "refreshing"), _):
            return
        case "activating", "auto-restart" | "auto-restart-queued":
            yield unhealthy(f"{config.unit_name} waits to be restarted{last}")
        case "activating", _ if unit.get("Type") == "oneshot" and unit["SubState"] == "start":
            return  # it is at work
        case "activating", _:
            yield degraded(f"{config.unit_name} is {state}{last}")
        case "inactive", _ if unit.get("Type") == "oneshot":
            return  # it has done its work, and would be failed otherwise
        case "failed", _:
            yield unhealthy(f"{config.unit_name} is failed: {_ending(unit)}")
        case _:
            yield unhealthy(f"{config.unit_name} is {state}{last}")


def _fine(unit: Mapping[str, str], state: str) -> str:
    never = unit.get("ExecMainExitTimestampMonotonic", "0") == "0"
    return f"{state}, not run since the boot" if state.startswith("inactive") and never else state


def _ending(unit: Mapping[str, str]) -> str:
    """Return how the last run ended, in systemd's words: `exit-code, status 1`."""
    result, status = unit.get("Result") or "no result", unit.get("ExecMainStatus", "0")
    code = {"exit-code": f", status {status}", "signal": f" {status}", "core-dump": f", signal {status}"}
    return result + (code.get(result, "") if unit.get("ExecMainCode", "0") != "0" else "")


def _not_loaded(state: str) -> str | None:
    """Return why a unit cannot be active."""
    return {
        "not-found": "is not there: systemd knows no unit of that name",
        "masked": "is masked: nothing can start it",
        "bad-setting": "has a file that systemd cannot read",
        "error": "has a file that systemd cannot read",
    }.get(state)
