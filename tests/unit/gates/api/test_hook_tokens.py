"""A token that is for one hook: it stands in the tool's own resources, where others may read it."""

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from pydantic import ValidationError

from healthd.config.in_force import InForce
from healthd.web.auth import Guard, hash_token
from healthd_gates.api.endpoint import AccessControl, Endpoint
from healthd_gates.api.operation import Call, Operation
from healthd_gates.api.rate_limit import Rate, RateLimiter
from healthd_gates.api.reach import ServicesInReach
from healthd_gates.config.settings import Config
from healthd_gates.domain.errors import UnknownGate
from tests.fakes.monitoring import HandClock

DEPLOYS = {"service": "api", "baseline": {"version": "stable"}}


def config(**token: Any) -> Config:
    """Two hooks, and one token."""
    return Config.model_validate(
        {
            "auth": {"tokens": [{"name": "t", "hash": hash_token("t"), "scopes": ["gates:hooks"], **token}]},
            "services": {"api": {"source": {"kind": "push"}, "policy": "canary"}},
            "hooks": {
                "flagger": {"kind": "flagger", "canaries": {"shop/api": DEPLOYS}},
                "spinnaker": {"kind": "spinnaker", "stages": {"api": DEPLOYS}},
            },
        }
    )


async def _handle(_call: Call[Any, Any]) -> web.Response:
    return web.Response()


async def _no_gate(gate_id: str) -> str:
    raise UnknownGate(gate_id=gate_id)


@pytest.mark.parametrize(
    ("token", "statuses"),
    [
        ({}, [200, 200]),
        ({"hooks": ["flagger"]}, [200, 403]),
        ({"hooks": []}, [403, 403]),
        ({"hooks": ["flagger"], "scopes": ["admin"]}, [200, 200]),
        ({"scopes": ["gates:read"]}, [403, 403]),
    ],
)
async def test_it_opens_that_hook_only(token: dict[str, Any], statuses: list[int]) -> None:
    """Every other one is 403, whatever its kind."""
    guard = Guard(InForce(config(**token)))
    endpoint = Endpoint(
        Operation("x", "GET", "/hooks/x/{hook}", "gates:hooks", "", _handle, {}),
        AccessControl(guard, RateLimiter(Rate(), HandClock()), ServicesInReach(_no_gate, dict, lambda _: {})),
    )
    for hook, status in zip(("flagger", "spinnaker"), statuses, strict=True):
        headers = {"Authorization": "Bearer t"}
        request = make_mocked_request("GET", f"/hooks/x/{hook}", headers=headers, match_info={"hook": hook})
        assert (await endpoint(request)).status == status


def test_a_hook_that_is_not_there_is_named() -> None:
    """A typing error would close the hook for good."""
    with pytest.raises(
        ValidationError, match="token t opens 'flager', which is not here; there are: flagger, spinnaker"
    ):
        config(hooks=["flager"])
