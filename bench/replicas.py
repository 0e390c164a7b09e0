"""Replicas of healthd that are killed and started again, with what a caller may ask of them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
from aiohttp.web import Response

from bench.process import free_port
from healthd.config.sign_in import SignIn
from healthd.runtime.clock import SystemClock
from healthd.web.auth import hash_token
from healthd.web.sessions import Cookies, Session

TOKEN = "hd_of-the-bench"
_HOME = "http://127.0.0.1:1"
_PATIENCE = 180.0  # seconds for a start: on a machine that is overloaded it takes a minute
_LAST_LINES = 20  # of the log of one that does not start
SIGN_IN: dict[str, Any] = {
    "issuer": _HOME,
    "client_id": "healthd",
    "client_secret": "secret-of-the-bench",
    "session_secret": "0123456789abcdef" * 4,
    "people": [{"name": "people", "claims": {"groups": "all"}, "role": "viewer"}],
}


def configuration(journal: str, names: Sequence[str], origin: str) -> dict[str, Any]:
    """Return the configuration of every replica: checks of an origin, which is told of them, and a heartbeat."""
    often = {"kind": "http", "interval": "3s", "timeout": "2900ms", "fall": 1, "rise": 1}
    return {
        "journal": journal,
        "http": {"external_url": _HOME},
        "auth": {
            "trust_loopback": False,
            "tokens": [{"name": "bench", "hash": hash_token(TOKEN), "role": "admin"}],
            "sign_in": SIGN_IN,
        },
        "checks": {
            **{name: {**often, "url": f"{origin}/checks/{name}"} for name in names},
            "job": {"kind": "heartbeat", "period": "1h", "interval": "1s", "timeout": "500ms", "fall": 1, "rise": 1},
            "quiet": {"kind": "process"},
        },
        "notifiers": {"team": {"kind": "webhook", "url": f"{origin}/told", "group_wait": "1s", "per_minute": 600}},
        "routes": [{"to": "team", "checks": list(names)}],
    }


def session_of(number: str) -> str:
    """Return the cookie of a session, as a replica gives it after a sign-in."""
    settings = SignIn.model_validate(SIGN_IN)
    answer = Response()
    people = settings.people[0]
    Cookies(settings, _HOME, SystemClock()).begin(answer, Session(number, "kim", people.name, people.mark))
    return answer.cookies.output(attrs=[], header="").strip()


class Replica:
    """A process with a port of its own, which it keeps."""

    def __init__(self, file: Path, settings: Mapping[str, Any]) -> None:
        self._file, port = file, free_port()
        self.url = f"http://127.0.0.1:{port}"
        whole = {**settings, "http": {**settings["http"], "listen": f"127.0.0.1:{port}"}}
        file.write_text(json.dumps(whole))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def lives(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def said(self, text: str) -> int:
        """Return how often its log has a text."""
        log = self._file.with_suffix(".log")
        return log.read_text(errors="replace").count(text) if log.exists() else 0

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def start(self, client: aiohttp.ClientSession) -> None:
        """Start, and wait until it has read the journal. Raises TimeoutError."""
        argv = [sys.executable, "-m", "healthd", "run", "--config", str(self._file)]
        with self._file.with_suffix(".log").open("ab") as log:
            self._process = subprocess.Popen(argv, stdout=log, stderr=log)  # noqa: ASYNC220
        ends = monotonic() + _PATIENCE
        while monotonic() < ends:
            try:
                if (await self.get(client, "/windows"))["complete"]:
                    return
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(0.1)
        lines = self._file.with_suffix(".log").read_text(errors="replace").splitlines()[-_LAST_LINES:]
        raise TimeoutError("\n".join([f"{self.url} does not start within {_PATIENCE:.0f} s", *lines]))

    async def ask(self, client: aiohttp.ClientSession, method: str, path: str, **options: Any) -> Any:
        """Return the document of an answer, None of a redirection. Raises aiohttp.ClientError."""
        headers = options.pop("headers", None) or {"Authorization": f"Bearer {TOKEN}"}
        sent = {"headers": headers, "allow_redirects": False, **options}
        async with client.request(method, self.url + path, **sent) as answer:
            answer.raise_for_status()
            return await answer.json() if "json" in answer.content_type else None

    async def get(self, client: aiohttp.ClientSession, path: str) -> Any:
        return await self.ask(client, "GET", path)

    async def text(self, client: aiohttp.ClientSession, path: str, cookie: str) -> str:
        async with client.get(self.url + path, headers={"Cookie": cookie}) as answer:
            return await answer.text()
