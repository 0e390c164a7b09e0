"""Who is trusted where no token is configured."""

from typing import Any

import pytest

from tests.unit.web.conftest import Open

NONE: dict[str, Any] = {"auth": {"tokens": []}}
RUN = "/checks/db/run"


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({**NONE, "environment": "development"}, 200),
        ({**NONE, "environment": "production"}, 401),
        ({"auth": {"trust_this_host": True}, "environment": "production"}, 200),
        ({"auth": {"trust_this_host": False}, "environment": "development"}, 401),
    ],
    ids=["development", "elsewhere", "told to", "told not to"],
)
async def test_a_caller_on_this_host(open_site: Open, options: dict[str, Any], status: int) -> None:
    """Behind a proxy on the same host everybody is one: only development trusts them unasked."""
    _, client = await open_site(**options)
    assert (await client.post(RUN)).status == status
    details = "duration" in (await (await client.get("/health")).json())["checks"]["db"] if status == 200 else False
    assert details == (status == 200)


async def test_a_configured_token_ends_that_trust(open_site: Open) -> None:
    """With tokens there is no caller without one."""
    _, client = await open_site(environment="development")
    assert (await client.post(RUN)).status == 401
