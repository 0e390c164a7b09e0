"""The systemd check against a `systemctl` of the tests' own, and the real one where systemd does not run."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import healthd.checks.systemd
from healthd.checks.contract import CheckContext
from healthd.checks.systemd import Systemd
from healthd.checks.systemd_state import SystemdConfig
from healthd.model import FailureKind, Result, Status
from healthd.runtime.clock import SystemClock
from tests.servers import systemd

_SLOW = "60s"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> systemd.Systemd:
    monkeypatch.setattr(healthd.checks.systemd, "PATH", str(tmp_path))
    return systemd.Systemd(tmp_path)


def check(**options: Any) -> Systemd:
    config = SystemdConfig.model_validate({"timeout": _SLOW, "interval": _SLOW, **options})
    return Systemd(config, CheckContext("x", SystemClock(), {}))


async def look(**options: Any) -> Result:
    return await check(**options).probe()


@pytest.mark.parametrize(
    ("active", "sub", "more", "status", "message"),
    [
        ("active", "running", {}, Status.HEALTHY, "active (running)"),
        ("reloading", "reload", {}, Status.HEALTHY, "reloading (reload)"),
        ("active", "exited", {"Type": "oneshot"}, Status.HEALTHY, "active (exited)"),
        (
            "active",
            "exited",
            {"Type": "forking"},
            Status.DEGRADED,
            "api.service is active (exited): none of its processes runs any more",
        ),
        (
            "activating",
            "auto-restart",
            {"Result": "exit-code", "ExecMainCode": "1", "ExecMainStatus": "3"},
            Status.UNHEALTHY,
            "api.service waits to be restarted, after exit-code, status 3",
        ),
        ("activating", "start-pre", {}, Status.DEGRADED, "api.service is activating (start-pre)"),
        ("activating", "start", {"Type": "oneshot"}, Status.HEALTHY, "activating (start)"),
        ("inactive", "dead", {}, Status.UNHEALTHY, "api.service is inactive (dead)"),
        ("inactive", "dead", {"Type": "oneshot"}, Status.HEALTHY, "inactive (dead), not run since the boot"),
        (
            "inactive",
            "dead",
            {"Type": "oneshot", "ExecMainExitTimestampMonotonic": "812"},
            Status.HEALTHY,
            "inactive (dead)",
        ),
        ("deactivating", "stop-sigterm", {}, Status.UNHEALTHY, "api.service is deactivating (stop-sigterm)"),
        (
            "failed",
            "failed",
            {"Result": "signal", "ExecMainCode": "2", "ExecMainStatus": "11"},
            Status.UNHEALTHY,
            "api.service is failed: signal 11",
        ),
        ("failed", "failed", {"Result": "start-limit-hit"}, Status.UNHEALTHY, "api.service is failed: start-limit-hit"),
        ("failed", "failed", {"Result": "oom-kill"}, Status.UNHEALTHY, "api.service is failed: oom-kill"),
        ("maintenance", "dead", {}, Status.UNHEALTHY, "api.service is maintenance (dead)"),
    ],
)
async def test_states(
    host: systemd.Systemd, active: str, sub: str, more: Mapping[str, str], status: Status, message: str
) -> None:
    """Green is what does its work, or has done it."""
    host.put("api.service", active, sub, **more)
    result = await look(unit="api")
    assert (result.status, result.message) == (status, message)


@pytest.mark.parametrize(
    ("state", "said"), [("not-found", "is not there"), ("masked", "is masked"), ("bad-setting", "cannot read")]
)
async def test_what_is_not_loaded(host: systemd.Systemd, state: str, said: str) -> None:
    """Names the unit as systemd does."""
    if state != "not-found":
        host.put("api.service", "inactive", "dead", LoadState=state)
    result = await look(unit="api")
    assert (result.kind, result.message.startswith("api.service"), said in result.message) == (
        FailureKind.MISCONFIGURED, True, True,
    )  # fmt: skip


async def test_what_is_no_service(host: systemd.Systemd) -> None:
    """Has no restarts; a mount's `Type` is that of its file system."""
    host.put("backup.timer", "active", "waiting")
    host.put("srv.mount", "active", "mounted", Type="ext4")
    for unit in ("backup.timer", "srv.mount"):
        result = await look(unit=unit)
        assert (result.status, result.measures) == (Status.HEALTHY, ())


async def test_restarts_within_the_window(host: systemd.Systemd) -> None:
    """A service that is up whenever somebody looks is not healthy for that. A start by hand begins the count again."""
    it = check(unit="api.service", restarts={"degraded": 3, "unhealthy": 10})
    for count, status in (("50", Status.HEALTHY), ("53", Status.HEALTHY), ("54", Status.DEGRADED)):
        host.put("api.service", "active", "running", NRestarts=count, MemoryCurrent="1048576")
        result = await it.probe()
        assert result.status == status
    assert result.message == "restarts within 10m: 4, more than 3"
    host.put("api.service", "active", "running", NRestarts="7")
    assert (await it.probe()).status == Status.UNHEALTHY
    assert {each.name: each.value for each in result.measures} == {"restarts": 4, "memory": 1048576}


async def test_all_units_of_the_host(host: systemd.Systemd) -> None:
    """None may be failed, but for those that are known to be."""
    host.put("api.service", "active", "running")
    assert (await look()).message == "no unit is failed"
    host.put("backup.service", "failed", "failed", Result="exit-code")
    host.put("systemd-networkd-wait-online.service", "failed", "failed", Result="exit-code")
    result = await look(ignore=["systemd-networkd-*"])
    assert (result.status, result.message) == (Status.UNHEALTHY, "failed: backup.service")
    assert result.observed["ignored"] == ["systemd-networkd-wait-online.service"]
    assert (await look(ignore="*.service")).status is Status.HEALTHY


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Failed to connect to bus: No such file or directory", FailureKind.MISCONFIGURED),
        ("Failed to get properties: Access denied", FailureKind.PERMISSION),
        ("Failed to connect to bus: Operation not permitted", FailureKind.PERMISSION),
        ("Failed to get properties: Connection timed out", FailureKind.UNEXPECTED_RESPONSE),
    ],
)
async def test_refusals(host: systemd.Systemd, words: str, kind: FailureKind) -> None:
    host.refuse(words)
    result = await look(unit="api")
    assert (result.status, result.kind) == (Status.UNHEALTHY, kind)


@pytest.mark.skipif(Path("/run/systemd/system").exists(), reason="systemd runs here")
@pytest.mark.skipif(shutil.which("systemctl") is None, reason="there is no systemctl here")
async def test_the_real_one_without_systemd() -> None:
    """As in a container."""
    for options in ({"unit": "api"}, {}):
        result = await look(**options)
        assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.MISCONFIGURED)
        assert result.message.startswith("systemd does not run here")


async def test_without_systemctl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healthd.checks.systemd, "PATH", "/nonexistent")
    result = await look(unit="api")
    assert (result.kind, "no program systemctl" in result.message) == (FailureKind.MISCONFIGURED, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"unit": "-h api"}, "should match pattern"),
        ({"unit": "a*"}, "should match pattern"),
        ({"unit": "api", "ignore": ["b"]}, "write it without unit"),
        ({"window": "5m"}, "name it by unit"),
    ],
)
def test_bad_options(options: Mapping[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SystemdConfig.model_validate(options)
