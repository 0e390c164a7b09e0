"""`healthd notify test` against receivers of the test's own."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner, Result

from healthd.cli import main


async def healthd(*words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, main, ["notify", "test", *words])


async def test_what_becomes_of_a_message(tmp_path: Path) -> None:
    """Delivered, refused with the receiver's answer, not set, unknown; a secret in the address is not shown."""
    got: list[Any] = []

    async def take(request: web.Request) -> web.Response:
        got.append(json.loads(await request.text()))
        return web.Response(status=403 if "refuse" in request.path else 202)

    app = web.Application()
    app.router.add_post("/{rest:.*}", take)
    async with TestServer(app) as server:
        url = str(server.make_url("/"))
        notifiers = {
            "events": {"kind": "webhook", "url": f"{url}take"},
            "pager": {"kind": "pagerduty", "routing_key": "k" * 32, "url": f"{url}pager"},
            "wrong": {"kind": "webhook", "url": f"{url}refuse/s3cret-word"},
            "unset": {"kind": "slack", "url": "${NOT_SET_ANYWHERE}"},
        }
        file = tmp_path / "healthd.yaml"
        file.write_text(json.dumps({"notifiers": notifiers, "routes": [{"to": ["events", "wrong"]}]}))
        done = await healthd("-c", str(file), "events")
        assert (done.exit_code, done.output) == (0, "events: delivered\n")
        assert (got[0]["subject"], got[0]["data"]["severity"]) == ("healthd-test", "info")
        got.clear()
        done = await healthd("-c", str(file), "pager", "--severity", "critical")
        assert done.exit_code == 0
        assert "pager: no route leads to it in the environment development" in done.output
        assert [event["event_action"] for event in got] == ["trigger", "resolve"]
        assert len({event["dedup_key"] for event in got}) == 1
        everything = await healthd("-c", str(file))
        assert everything.exit_code == 1
        assert "wrong: answered 403" in everything.output
        assert "unset: not set: NOT_SET_ANYWHERE" in everything.output
        assert "s3cret-word" not in everything.output
        unknown = await healthd("-c", str(file), "pagr")
        assert (unknown.exit_code, "Did you mean pager?" in unknown.output) == (2, True)


@pytest.mark.parametrize("words", [["chat"], []])
async def test_without_a_file_the_cure_is_named(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon beside it has the notifier; this command was not told of its file."""
    monkeypatch.delenv("HEALTHD_CONFIG", raising=False)
    done = await healthd(*words)
    assert (done.exit_code, "name the daemon's with -c FILE or HEALTHD_CONFIG" in done.output) == (2, True)
