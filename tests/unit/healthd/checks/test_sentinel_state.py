"""What the views of several Sentinels mean together."""

from typing import Any

import pytest
from pydantic import ValidationError

from healthd.checks.sentinel_state import RedisSentinelConfig, View, judge
from healthd.model import FailureKind, Status

BASE = {"sentinels": ["redis://a:26379", "redis://b:26379"], "master": "mymaster"}
REPLICA = {"flags": "slave", "master-link-status": "ok"}


def view(flags: str = "master", *, port: int = 6379, lacks: str | None = None, link: str = "ok") -> View:
    told = {"ip": "10.0.0.1", "port": str(port), "flags": flags, "num-other-sentinels": "1", "quorum": "2"}
    return View(told, ({**REPLICA, "master-link-status": link},), lacks, 0.001)


@pytest.mark.parametrize(
    ("views", "status", "kind", "said"),
    [
        ([view(), view()], Status.HEALTHY, None, ""),
        ([view("master,s_down"), view()], Status.DEGRADED, FailureKind.NOT_PRIMARY, "1 of 2 Sentinels do not reach"),
        ([view("master,s_down"), view("master,s_down")], Status.UNHEALTHY, FailureKind.NOT_PRIMARY, "no Sentinel that"),
        ([view("master,s_down,o_down"), view()], Status.UNHEALTHY, FailureKind.NOT_PRIMARY, "agree that the master"),
        ([view(), view(port=6380)], Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE, "name different masters"),
        ([view("master,failover_in_progress"), view()], Status.DEGRADED, FailureKind.NOT_PRIMARY, "under way"),
        ([view(lacks="1 usable Sentinels."), view()], Status.DEGRADED, FailureKind.THRESHOLD, "1 usable Sentinels."),
        ([view(), view(link="err")], Status.DEGRADED, FailureKind.THRESHOLD, "0 of"),
    ],
)
def test_views_together(views: list[View], status: Status, kind: FailureKind | None, said: str) -> None:
    """The worst of them counts."""
    result = judge(views, RedisSentinelConfig.model_validate(BASE))
    assert (result.status, result.kind) == (status, kind), result
    assert said in result.message


@pytest.mark.parametrize("flags", ["slave,s_down", "slave,disconnected", "slave,o_down"])
def test_a_replica_that_is_away_is_not_in_step(flags: str) -> None:
    """Whatever its link was when it was last seen."""
    one = View({"flags": "master"}, ({**REPLICA, "flags": flags}, REPLICA), None, 0.001)
    assert one.in_step == 1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"sentinels": []}, "at least 1 item"),
        ({"sentinels": ["redis://a"]}, "names no port: a Sentinel usually listens on 26379"),
        ({"sentinels": ["http://a:26379"]}, "must begin with redis://"),
        ({"master": "my master"}, "String should match pattern"),
    ],
)
def test_refused_options(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        RedisSentinelConfig.model_validate({**BASE, **options})
