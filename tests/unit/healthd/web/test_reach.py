"""What a bound token reaches, and windows that it may add."""

from typing import Any

import pytest

from healthd.config.auth_grant import Grant
from healthd.config.reach import Reach
from healthd.web.auth import hash_token
from tests.unit.healthd.web.conftest import Open


def reach(**bounds: Any) -> Reach:
    found = Grant.model_validate({"name": "x", "role": "operator", **bounds}).reach
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("bounds", "service", "check"),
    [
        ({"services": "pay*"}, True, False),
        ({"services": "mail"}, False, False),
        ({"checks": "pay*"}, False, True),
        ({"groups": "ready"}, False, True),
        ({"groups": "other"}, False, False),
        ({"labels": {"team": "a"}}, True, True),
        ({"labels": {"team": ["b", "c"]}}, False, False),
        ({"labels": {"team": "a"}, "services": "pay*"}, True, False),
        ({"labels": {"team": "b"}, "services": "pay*"}, False, False),
        ({"labels": {"tier": "1"}}, False, False),
    ],
)
def test_names_and_labels(bounds: dict[str, Any], service: bool, check: bool) -> None:
    """A name of one kind leaves the other kinds out; beside names, labels narrow."""
    labels = {"team": "a"}
    assert reach(**bounds).service("payments", labels) == service
    assert reach(**bounds).check("payments", labels, {"ready"}) == check


def test_without_bounds_there_are_none() -> None:
    assert Grant.model_validate({"name": "x", "role": "viewer", "environments": "staging"}).reach is None


_A_WINDOW = {"kind": "silence", "for": "1h", "reason": "x"}
_FREEZE = {**_A_WINDOW, "kind": "freeze"}


@pytest.mark.parametrize(
    ("bounds", "window", "status"),
    [
        ({"checks": ["db"]}, {"checks": "db"}, 201),
        ({"checks": ["db"]}, {"checks": ["db", "mail"]}, 403),
        ({"checks": ["db"]}, {"checks": "*"}, 403),
        ({"checks": ["d*"]}, {"checks": "d*"}, 201),
        ({"checks": ["d*"]}, {"checks": "*b"}, 403),
        ({"checks": ["db"]}, {"groups": "own"}, 403),
        ({"checks": ["db", "mail"]}, {"groups": "own"}, 201),
        ({"groups": ["own"]}, {"groups": "own"}, 201),
        ({"groups": ["own"]}, {"checks": "mail"}, 201),
        ({"groups": ["own"]}, {"checks": "backup"}, 403),
        ({"labels": {"team": "a"}}, {"labels": {"team": "a"}}, 201),
        ({"labels": {"team": "a"}}, {"labels": {"team": ["a", "b"]}}, 403),
        ({"labels": {"team": "a"}}, {"labels": {"tier": "1"}}, 403),
        ({"labels": {"team": "a"}}, {"checks": "*", "labels": {"team": "a"}}, 403),
        ({"labels": {"team": "a"}, "checks": ["*"]}, {"checks": "*", "labels": {"team": "a"}}, 201),
        ({"checks": ["db"]}, {"labels": {"team": "a"}}, 403),
        ({"services": ["checkout"]}, {**_FREEZE, "services": "checkout"}, 201),
        ({"services": ["checkout"]}, {**_FREEZE, "services": "mails"}, 403),
        ({"services": ["checkout"]}, {**_FREEZE, "services": "*"}, 403),
        ({"services": ["checkout"]}, {"checks": "db"}, 403),
        ({"labels": {"team": "shop"}}, {**_FREEZE, "services": "checkout"}, 201),
        ({"labels": {"team": "shop"}}, {**_FREEZE, "services": "mails"}, 403),
    ],
)
async def test_windows_lie_within_reach(
    open_site: Open, bounds: dict[str, Any], window: dict[str, Any], status: int
) -> None:
    """Also what a pattern may match later; and nobody ends another team's."""
    tokens = [
        {"name": "team", "hash": hash_token("team"), "role": "operator", **bounds},
        {"name": "all", "hash": hash_token("all"), "role": "operator"},
    ]
    checks: dict[str, dict[str, Any]] = {name: {"kind": "process"} for name in ("db", "mail", "backup")}
    checks["labelled"] = {"kind": "process", "labels": {"team": "a", "tier": "1"}}
    _, client = await open_site(auth={"tokens": tokens}, checks=checks)
    team, everybody = {"Authorization": "Bearer team"}, {"Authorization": "Bearer all"}
    answer = await client.post("/windows", json={**_A_WINDOW, **window}, headers=team)
    assert answer.status == status, await answer.text()
    added = await client.post("/windows", json={**_A_WINDOW, **window}, headers=everybody)
    ended = await client.delete(f"/windows/{(await added.json())['id']}", headers=team)
    assert ended.status == (200 if status == 201 else 403)


def test_a_grant_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="grants nothing: write role, one of viewer, deployer, operator, admin, or sc"):
        Grant.model_validate({"name": "x", "services": "a"})
