"""Where a caller's token comes from."""

import os
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from healthd_gates.client.client import GateClient
from healthd_gates.client.credentials import CredentialError, GitHubActions, TokenFile
from healthd_gates.client.transport import Unreachable
from tests.fakes.issuer import Issuer


def environ(issuer: Issuer, secret: str = "of-the-job") -> dict[str, str]:
    url = f"{issuer.url}/token?api-version=2.0"
    return {"ACTIONS_ID_TOKEN_REQUEST_URL": url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": secret}


async def test_a_job_of_github_actions_asks_for_a_token_and_renews_it() -> None:
    """It is valid for five minutes, and a gate may take longer."""
    now = [0.0]
    async with Issuer() as issuer:
        credentials = GitHubActions(environ(issuer), "https://healthd.example.com", lambda: now[0])
        first = await credentials.bearer()
        assert await credentials.bearer() == first
        assert issuer.asked == ["/token"]
        now[0] = 121.0
        await credentials.bearer()
        assert issuer.asked == ["/token"] * 2
        refused = GitHubActions(environ(issuer, "of-another"), "https://healthd.example.com")
        with pytest.raises(CredentialError, match="GitHub Actions gives no token: status 401"):
            await refused.bearer()
        async with GateClient("http://127.0.0.1:1", refused, retry_for=0) as client:
            with pytest.raises(Unreachable, match="GitHub Actions gives no token: status 401"):
                await client.gates()
    assert not GitHubActions.are_there({**os.environ, "ACTIONS_ID_TOKEN_REQUEST_URL": ""})


async def test_a_file_is_read_for_each_call(tmp_path: Path) -> None:
    """Kubernetes renews the token of a pod."""
    seen = []

    async def note(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.json_response({"gates": [], "next": None, "unreadable": []})

    app = web.Application()
    app.router.add_get("/gates", note)
    file = tmp_path / "token"
    async with TestServer(app) as server, GateClient(str(server.make_url("")), TokenFile(file), retry_for=0) as client:
        for token in ("one", "two"):
            file.write_text(f"{token}\n")
            await client.gates()
    assert seen == ["Bearer one", "Bearer two"]
