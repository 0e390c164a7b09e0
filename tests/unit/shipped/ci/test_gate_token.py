"""`gate.sh` in a job of GitHub Actions that has no token of healthd's."""

import asyncio
import os
from pathlib import Path

import jwt
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.fakes.issuer import Issuer

SCRIPT = Path(__file__).parents[4] / "deploy" / "ci" / "gate.sh"


async def test_github_gives_the_token(tmp_path: Path) -> None:
    """Its audience is the daemon's address; a token of the environment goes before it."""
    seen: list[str] = []

    async def verify(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"].removeprefix("Bearer "))
        return web.json_response({})

    app = web.Application()
    app.router.add_post("/gates/verify", verify)
    async with TestServer(app) as server, Issuer() as issuer:
        url = str(server.make_url("")).rstrip("/")
        job = {
            "PATH": os.environ["PATH"],
            "HEALTHD_URL": url,
            "VERDICT": str(tmp_path / "verdict.json"),
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{issuer.url}/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-the-job",
        }
        for environ in (job, {**job, "HEALTHD_TOKEN": "hd_own"}):
            running = await asyncio.create_subprocess_exec("bash", SCRIPT, "api", "2", "key", env=environ)
            assert await running.wait() == 0
        assert jwt.decode(seen[0], options={"verify_signature": False})["aud"] == url
        assert seen[1] == "hd_own"
