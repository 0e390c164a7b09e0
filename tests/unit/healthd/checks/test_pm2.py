"""What an application's processes under PM2 mean, and how their restarts are counted. Real PM2 is in the integration
tests."""

from __future__ import annotations

import json
from typing import Any

import pytest

from healthd.checks.pm2_list import listed
from healthd.checks.pm2_state import Pm2Config, Process, judge, processes_of, unstable
from healthd.model import FailureKind, Result, Status

NOW = 1_800_000_000.0


def process(number: int = 0, status: str = "online", **more: Any) -> Process:
    return Process(
        **{
            "id": str(number), "status": status, "restarts": 0, "unstable_restarts": 0, "created_at": NOW - 9e6,
            "memory": 1e6, "cpu": 2.0, **more,
        }
    )  # fmt: skip


def judged(*processes: Process, restarts: int = 0, **options: Any) -> Result:
    config = Pm2Config.model_validate({"app": "api", **options})
    return judge(processes, {each.id: restarts for each in processes}, config, ["api", "mailer"])


@pytest.mark.parametrize(
    ("states", "restarts", "status", "message"),
    [
        (["online", "online"], 3, Status.HEALTHY, "2 of 2 online"),
        (["online", "errored"], 0, Status.DEGRADED, "1 of 2 processes is online: 1 errored"),
        (
            ["stopped", "errored"],
            0,
            Status.UNHEALTHY,
            "0 of 2 processes are online, at least 1 should be: 1 errored, 1 stopped",
        ),
        (["online"], 4, Status.DEGRADED, "restarts of a process within 10m: 4, more than 3"),
        (["online"], 11, Status.UNHEALTHY, "restarts of a process within 10m: 11, more than 10"),
        (
            ["online", "launching"],
            11,
            Status.UNHEALTHY,
            "restarts of a process within 10m: 11, more than 10; 1 of 2 processes is online: 1 launching",
        ),
    ],
)
def test_green_is_online_and_staying_so(states: list[str], restarts: int, status: Status, message: str) -> None:
    """PM2 calls a process online that dies each second."""
    found = judged(*(process(number, state) for number, state in enumerate(states)), restarts=restarts)
    assert (found.status, found.message) == (status, message)


def test_too_few() -> None:
    """Even where each that PM2 knows is online."""
    found = judged(process(), instances=2)
    assert (found.status, found.message) == (Status.UNHEALTHY, "1 of 1 processes is online, at least 2 should be")


def test_an_unknown_application() -> None:
    """As after a restart of the host without `pm2 save`."""
    found = judged()
    assert (found.status, found.kind) == (Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)
    assert "PM2 knows no api, only: api, mailer" in found.message


def test_what_pm2_found_unstable() -> None:
    """Counts only where all of it happened within the window: the counter stays."""
    young, old = process(0, unstable_restarts=4, created_at=NOW - 10), process(1, unstable_restarts=3)
    assert unstable([young, old], NOW - 600) == {"0": 4}


def test_what_a_reload_takes_away_is_left_out() -> None:
    """And so are the processes of others."""
    own = {"status": "online", "restart_time": 1, "unstable_restarts": 0, "created_at": 1, "SECRET": "x"}
    entries = [
        {"name": "api", "pm_id": 0, "pm2_env": own, "monit": {"memory": 5, "cpu": 1}},
        {"name": "api", "pm_id": "_old_0", "pm2_env": {**own, "status": "stopping"}},
        {"name": "mailer", "pm_id": 1, "pm2_env": own},
        {"name": "api", "pm_id": 2, "pm2_env": {**own, "created_at": None, "status": "errored"}},
    ]
    text = f"[PM2] Spawning PM2 daemon\n{json.dumps(entries)}\n[PM2][WARN] something else"
    found = processes_of("api", listed(text))
    assert [(each.id, each.status) for each in found] == [("0", "online"), ("2", "errored")]
    assert "SECRET" not in repr(found)


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85"])
def test_a_variable_of_several_lines(end: str) -> None:
    """As Node.js writes it: JSON escapes the ends of ASCII alone."""
    entry = {"name": "api", "pm_id": 0, "pm2_env": {"NOTE": f"one{end}two"}}
    assert listed(f"{json.dumps([entry], ensure_ascii=False)}\n") == [entry]


@pytest.mark.parametrize("text", ["", "[PM2] Spawning", '{"a": 1}', '[{"name": "cut'])
def test_what_is_no_list(text: str) -> None:
    with pytest.raises(ValueError, match="no list"):
        listed(text)
