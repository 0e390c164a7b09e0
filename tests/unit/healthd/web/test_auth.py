"""Who is trusted where no token is configured."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from healthd.runtime.repeats import Repeats
from healthd.web.auth import new_token
from healthd.web.refusals import Reason, Refusals
from tests.fakes.monitoring import UP
from tests.unit.healthd.web.conftest import Open

NONE: dict[str, Any] = {"auth": {"tokens": []}}
TRUSTING: dict[str, Any] = {"auth": {"trust_loopback": True}}
RUN = "/checks/db/run"


@pytest.mark.parametrize(
    ("options", "reads"),
    [
        ({**NONE, "environment": "development"}, False),
        ({**NONE, "environment": "production"}, False),
        ({**TRUSTING, "environment": "production"}, True),
        ({**TRUSTING, "environment": "development"}, True),
    ],
    ids=["development", "elsewhere", "told to", "told to in development"],
)
async def test_a_caller_on_this_host(open_site: Open, options: dict[str, Any], reads: bool) -> None:
    """Behind a proxy on the same host everybody is one, and no header tells of every proxy: nobody is trusted unasked,
    and nobody changes anything without a token."""
    site, client = await open_site(**options)
    site.put("db", UP)
    response = await client.post(RUN)
    assert response.status == 401
    assert "no token is configured" in (await response.json(content_type=None))["detail"]
    assert ("duration" in (await (await client.get("/health")).json())["checks"]["db"]) == reads


async def test_beside_tokens(open_site: Open) -> None:
    """Trust that was asked for reads, with tokens as without; a token that is not known is nobody's."""
    site, client = await open_site()
    tokens = [{**token.model_dump(), "hash": token.hash.get_secret_value()} for token in site.configured.auth.tokens]
    site, client = await open_site(auth={"trust_loopback": True, "tokens": tokens})
    site.put("db", UP)
    refused = await client.post(RUN)
    assert (refused.status, "needs a token" in (await refused.json(content_type=None))["detail"]) == (401, True)
    assert "duration" in (await (await client.get("/health")).json())["checks"]["db"]
    wrong = {"Authorization": "Bearer nobody"}
    assert "duration" not in (await (await client.get("/health", headers=wrong)).json())["checks"]["db"]


async def test_a_token_takes_nothing_away(open_site: Open) -> None:
    """Where this host is trusted to read, a token for something else reads too, and does no more than it may."""
    token, stored = new_token()
    tokens = [{"name": "deploys", "hash": stored, "scopes": ["gates:verify"]}]
    site, client = await open_site(auth={"trust_loopback": True, "tokens": tokens})
    site.put("db", UP)
    sent = {"Authorization": f"Bearer {token}"}
    assert "duration" in (await (await client.get("/health", headers=sent)).json())["checks"]["db"]
    assert (await client.post(RUN, headers=sent)).status == 403
    behind = {**sent, "X-Forwarded-For": "192.0.2.1"}
    assert "duration" not in (await (await client.get("/health", headers=behind)).json())["checks"]["db"]


async def test_sign_ins_that_fail_are_counted_and_told(open_site: Open) -> None:
    """Hundreds of wrong tokens are a line a minute with their number, and no token is in it."""
    site, client = await open_site()
    counted, now = list[str](), [0.0]
    site.guard.refused = Refusals(counted.append, Repeats(lambda: now[0]))
    with capture_logs() as logged:
        for _ in range(30):
            assert (await client.post(RUN, headers={"Authorization": "Bearer guessed"})).status == 401
        now[0] = 61.0
        await client.post(RUN, headers={"Authorization": "Bearer guessed"})
    assert counted == [Reason.UNKNOWN_TOKEN] * 31
    assert [line["times"] for line in logged] == [1, 30]
    assert {(line["path"], line["address"]) for line in logged} == {(RUN, "127.0.0.1")}
    assert "guessed" not in str(logged)


async def test_a_refused_caller_can_be_found(open_site: Open) -> None:
    """By what it asked for, each with a line of its own, where it came from, and the name of a token that has expired;
    neither a secret of a path nor a path without an end is logged."""
    token, stored = new_token()
    old = {"name": "old", "hash": stored, "scopes": ["windows:write"], "expires": "2026-03-01T00:00:00Z"}
    site, client = await open_site(auth={"tokens": [old]})
    site.guard.refused = Refusals(repeats=Repeats(lambda: 0.0))
    with capture_logs() as logged:
        for path in (RUN, RUN, f"/checks/{'x' * 900}/run"):
            await client.post(path, headers={"Authorization": "Bearer guessed"})
        await client.post("/windows", headers={"Authorization": f"Bearer {token}"})
        await client.get("/ping/hunter2-secret")
    told = [(line["path"], line.get("token")) for line in logged]
    assert told == [(RUN, None), ("/windows", "old"), ("/ping/{key}", None)]
    assert "hunter2" not in str(logged)


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("", "write your token"),
        ("wrong", "this token is not known"),
        ("'wrong'", "leave out the quotes"),
        ("sha256:0", "this is the hash of a token"),
    ],
)
async def test_a_token_of_a_form(open_site: Open, token: str, said: str) -> None:
    """Who wrote one is not told to write one."""
    _, client = await open_site()
    form = {"act": "silence-1h", "reason": "x", "token": token}
    answer = await client.post("/checks/db/silence", data=form, headers={"Sec-Fetch-Site": "same-origin"})
    assert (answer.status, said in await answer.text()) == (401, True)
