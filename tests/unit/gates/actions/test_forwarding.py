"""What a load balancer forwards to, and what is sent to change it."""

from typing import Any

import pytest

from healthd_gates.actions.alb_forwarding import all_at, is_all_at, reaches, shares, weights

NAMES = {"b": "blue", "g": "green"}


def single(group: str) -> dict[str, Any]:
    return {"Type": "forward", "TargetGroupArn": group}


def split(sticky: bool = False, **shares: int) -> dict[str, Any]:
    groups = [{"TargetGroupArn": name, "Weight": weight} for name, weight in shares.items()]
    config = {"TargetGroups": groups, "TargetGroupStickinessConfig": {"Enabled": sticky, "DurationSeconds": 60}}
    return {"Type": "forward", "Order": 2, "ForwardConfig": config}


@pytest.mark.parametrize(
    ("action", "back"),
    [
        (single("b"), True),
        (single("g"), False),
        (split(b=1), True),
        (split(b=0), True),
        (split(b=100, g=0), True),
        (split(b=99, g=1), False),
        (split(b=0, g=0), False),
        (split(sticky=True, b=100, g=0), False),
        ({"Type": "fixed-response"}, False),
    ],
)
def test_whether_everything_is_back(action: dict[str, Any], back: bool) -> None:
    """A weight of none, and a cookie that ties callers to the other group, both count."""
    assert is_all_at([action], "b") is back


def test_a_cookie_that_ties_callers_to_a_group_without_weight_is_traffic() -> None:
    """Whoever came before keeps coming there, so that there is something to roll back."""
    assert reaches([split(sticky=True, b=100, g=0)], "g")
    assert not reaches([split(b=100, g=0)], "g")
    assert not reaches([split(sticky=True, b=100)], "g")
    assert reaches([single("g")], "g")


def test_both_weights_are_set_and_nobody_stays_tied_to_the_candidate() -> None:
    """The candidate's group stays in place, for the next deploy."""
    (changed,) = all_at([split(sticky=True, b=10, g=90)], "b")
    assert changed["ForwardConfig"] == {
        "TargetGroups": [{"TargetGroupArn": "b", "Weight": 100}, {"TargetGroupArn": "g", "Weight": 0}],
        "TargetGroupStickinessConfig": {"Enabled": False},
    }
    assert changed["Order"] == 2
    assert is_all_at([changed], "b")


def test_a_group_without_traffic_can_be_named_beside() -> None:
    """So that its targets are checked before it gets any; one that is named already is named once."""
    (changed,) = all_at([single("b")], "b", beside=["g", "b"])
    assert weights([changed]) == {"b": 100, "g": 0}
    assert is_all_at([changed], "b")
    assert all_at([changed], "b", beside=["g"]) == [changed]


def test_a_login_before_the_forward_stays() -> None:
    """AWS keeps the client's secret, and does not show it."""
    login = {"Type": "authenticate-oidc", "Order": 1, "AuthenticateOidcConfig": {"ClientId": "x", "Issuer": "y"}}
    first, second = all_at([login, single("g")], "b")
    assert first["AuthenticateOidcConfig"] == {"ClientId": "x", "Issuer": "y", "UseExistingClientSecret": True}
    assert weights([second]) == {"b": 100, "g": 0}


def test_shares_are_told_by_name() -> None:
    """A group without one by its ARN."""
    assert shares([split(b=10, g=90)], NAMES) == "10% to blue, 90% to green"
    assert shares([single("y")], NAMES) == "100% to y"
    assert shares([{"Type": "redirect"}], NAMES) == "nothing to any target group"
