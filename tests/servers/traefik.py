"""Traefik with files that it watches."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers.ports import HOST
from tests.servers.process import Process, Server, own_folder, serving
from tests.servers.programs import require


@dataclass(frozen=True)
class Traefik(Server):
    """A running load balancer. Requests, its API and its metrics have one port."""

    folder: Path = field(kw_only=True)
    """The folder that its file provider watches."""

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def service(self, name: str) -> dict[str, Any]:
        """A service as its API has it."""
        with urllib.request.urlopen(f"{self.url}/api/http/services/{name}") as answer:
            return dict(json.load(answer))


@contextmanager
def running(files: dict[str, Any]) -> Iterator[Traefik]:
    """A balancer on a free port with these files, as JSON, which is YAML. Routers use the entry point `traefik`."""
    with own_folder() as folder:
        watched = folder / "dynamic"
        watched.mkdir()
        for name, content in files.items():
            (watched / name).write_text(json.dumps(content))

        def prepare(port: int) -> Process:
            argv = [
                require("traefik"),
                f"--entrypoints.traefik.address={HOST}:{port}",
                "--api.insecure=true",
                "--api.dashboard=false",  # which would take every path
                "--metrics.prometheus=true",
                f"--providers.file.directory={watched}",
                "--providers.providersthrottleduration=100ms",
                "--global.checknewversion=false",
                "--global.sendanonymoususage=false",
            ]
            return Process(argv, lambda process: process.listens(port), log=folder / "log")

        with serving(prepare) as (port, process):
            balancer = Traefik(port, process, folder=watched)
            _wait_for(balancer, set(files))
            yield balancer


def _wait_for(balancer: Traefik, files: set[str]) -> None:
    """Wait until it has the routers of its files: it listens before it has read them, and has no API until then."""
    for _ in range(400 if files else 0):
        with (
            suppress(urllib.error.HTTPError),
            urllib.request.urlopen(f"{balancer.url}/api/http/routers") as answer,
        ):
            if any(router["provider"] == "file" for router in json.load(answer)):
                return
        time.sleep(0.05)
