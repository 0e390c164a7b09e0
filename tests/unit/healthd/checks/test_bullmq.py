"""How the bullmq check judges a queue."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from healthd.checks.bullmq_state import BullMQConfig, Queue, judge
from healthd.model import FailureKind, Status

WORKING = Queue(
    exists=True, waiting=3, active=1, delayed=2, failed=0, oldest=4.0, paused=False, workers=2
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "options", "status", "said"),
    [
        ({}, {}, Status.HEALTHY, "3 waiting, 1 active, 2 workers"),
        ({"waiting": 0, "oldest": None, "workers": 1}, {}, Status.HEALTHY, "0 waiting, 1 active, 1 worker"),
        ({"workers": 0}, {}, Status.UNHEALTHY, "no worker is connected, and 3 jobs wait"),
        ({"workers": 1}, {"workers": 2}, Status.DEGRADED, "1 of 2 workers are connected"),
        ({"workers": None}, {"workers": 0}, Status.HEALTHY, "3 waiting, 1 active"),
        ({"paused": True}, {}, Status.DEGRADED, "the queue is paused, and 3 jobs wait"),
        ({"oldest": 301.0}, {}, Status.DEGRADED, "a job has waited for 5m1s, more than 5m"),
        ({"oldest": 1801.0}, {}, Status.UNHEALTHY, "more than 30m"),
        ({"waiting": 11}, {"waiting": {"degraded": 10}}, Status.DEGRADED, "waiting jobs: 11, more than 10"),
        ({"waiting": 10}, {"waiting": {"degraded": 10}}, Status.HEALTHY, ""),
        ({"failed": 5}, {"failed": {"unhealthy": 4}}, Status.UNHEALTHY, "failed in the last hour: 5, more than 4"),
        ({"paused": True, "workers": 0}, {}, Status.UNHEALTHY, "no worker is connected, and 3 jobs wait; the queue is"),
    ],
)
def test_a_queue_is_as_well_as_its_worst_part(
    change: dict[str, Any], options: dict[str, Any], status: Status, said: str
) -> None:
    config = BullMQConfig.model_validate({"uri": "redis://host", "queue": "mails", **options})
    result = judge(replace(WORKING, **change), config)
    assert (result.status, result.kind) == (status, None if status is Status.HEALTHY else FailureKind.THRESHOLD)
    assert said in result.message


def test_a_queue_that_nobody_has_made_is_a_wrong_name() -> None:
    """Redis has no list of queues; one on which workers wait is there, though nothing was ever added."""
    config = BullMQConfig(uri=SecretStr("redis://host"), queue="mail")
    nothing = Queue(exists=False, waiting=0, active=0, delayed=0, failed=0, oldest=None, paused=False, workers=0)
    result = judge(nothing, config)
    assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.MISCONFIGURED)
    assert "bull:mail:meta" in result.message
    assert judge(replace(nothing, workers=1), config).status is Status.HEALTHY


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"queue": "a:b"}, "pattern"),
        ({"queue": ""}, "pattern"),
        ({"queue": "a", "oldest": {"degraded": "1h", "unhealthy": "5m"}}, "degraded must not be higher"),
        ({"queue": "a", "waiting": {"degraded": -1}}, "greater than or equal to 0"),
    ],
)
def test_mistakes(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        BullMQConfig.model_validate({"uri": "redis://host", **options})
