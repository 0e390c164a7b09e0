"""Alertmanager, passing what it is sent to a webhook of the test's own."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.servers.ports import HOST
from tests.servers.process import Process, Server, own_folder, serving
from tests.servers.programs import require


@dataclass(frozen=True)
class Alertmanager(Server):
    """A running server."""

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def alerts(self) -> list[dict[str, Any]]:
        """The alerts that fire now, as the API gives them."""
        async with (
            aiohttp.ClientSession(raise_for_status=True) as client,
            client.get(f"{self.url}/api/v2/alerts") as response,
        ):
            alerts: list[dict[str, Any]] = await response.json()
            return alerts


@contextmanager
def running(webhook: str | None = None, *, configuration: str | None = None) -> Iterator[Alertmanager]:
    """A server that posts every change of an alert to the URL `webhook`, at once and each by itself; or one with a
    whole `configuration` of the test's own, as text."""

    with own_folder() as folder:

        def prepare(port: int) -> Process:
            receiver: dict[str, object] = {"name": "test"}
            if webhook:
                receiver["webhook_configs"] = [{"url": webhook, "send_resolved": True}]
            route = {"receiver": "test", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s"}
            # JSON is YAML.
            own = json.dumps({"route": route, "receivers": [receiver]})
            (folder / "alertmanager.yml").write_text(configuration or own)
            argv = [
                require("prometheus-alertmanager"),
                f"--config.file={folder / 'alertmanager.yml'}",
                f"--storage.path={folder / 'data'}",
                f"--web.listen-address={HOST}:{port}",
                "--cluster.listen-address=",
            ]
            return Process(argv, lambda process: process.listens(port), log=folder / "log")

        with serving(prepare) as (port, process):
            yield Alertmanager(port, process)
