"""Prometheus, scraping what a test tells it to, open or behind a login and TLS."""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.servers.ports import HOST
from tests.servers.process import Process, Server, own_folder, serving
from tests.servers.programs import require
from tests.servers.tls import Certificate

USER, PASSWORD = "prometheus", "prometheus-secret"

# bcrypt of PASSWORD: Prometheus takes nothing else, and no library of ours makes it.
_HASH = "$2b$04$37HI7a6t/qhpQ1wFqur15OrVBIn/jw/EVUvJxzyR32Q.ZEzmBmp0y"


@dataclass(frozen=True)
class Prometheus(Server):
    """A running server."""

    scheme: str = field(default="http", kw_only=True)
    authenticates: bool = field(default=False, kw_only=True)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query now, as the API gives it."""
        login = {"Authorization": aiohttp.encode_basic_auth(USER, PASSWORD)} if self.authenticates else {}
        async with (
            aiohttp.ClientSession(headers=login, raise_for_status=True) as client,
            client.get(f"{self.url}/api/v1/query", params={"query": expression}, ssl=False) as response,
        ):
            result: list[dict[str, Any]] = (await response.json())["data"]["result"]
            return result


@contextmanager
def running(
    scrape: Mapping[str, Sequence[str]] | None = None,
    *,
    every: str = "200ms",
    rules: str | None = None,
    history: str | None = None,
    authenticates: bool = False,
    certificate: Certificate | None = None,
    features: Sequence[str] = (),
) -> Iterator[Prometheus]:
    """A server that scrapes `/metrics` of the addresses of each job in `scrape`, `every` so often.

    Its first scrape comes 5 s after its start, whatever `every` is; `history` is there at once: samples with their
    times, as OpenMetrics text. `rules` is the text of a rule file, and
    `features` are those of --enable-feature.
    """

    with own_folder() as folder:
        if history is not None:
            _backfill(folder, history)

        def prepare(port: int) -> Process:
            configuration: dict[str, object] = {
                "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
                "scrape_configs": [_job(name, targets) for name, targets in (scrape or {}).items()],
            }
            if rules is not None:
                (folder / "rules.yml").write_text(rules)
                configuration["rule_files"] = [str(folder / "rules.yml")]
            # JSON is YAML.
            (folder / "prometheus.yml").write_text(json.dumps(configuration))
            (folder / "web.yml").write_text(json.dumps(_web(folder, authenticates, certificate)))
            argv = [
                require("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--web.config.file={folder / 'web.yml'}",
                f"--web.listen-address={HOST}:{port}",
                f"--storage.tsdb.path={folder / 'data'}",
                *(f"--enable-feature={feature}" for feature in features),
            ]
            return Process(argv, lambda process: _ready(process, port), log=folder / "log")

        with serving(prepare) as (port, process):
            scheme = "https" if certificate else "http"
            yield Prometheus(port, process, scheme=scheme, authenticates=authenticates)


def _ready(process: Process, port: int) -> bool:
    # Its own word rather than a request to /-/ready, which a login or a bad certificate would refuse.
    return process.listens(port) and process.said("Server is ready to receive web requests")


def _backfill(folder: Path, history: str) -> None:
    file = folder / "history"
    file.write_text(history)
    promtool: list[str | Path] = [require("promtool"), "tsdb", "create-blocks-from", "openmetrics"]
    subprocess.run([*promtool, file, folder / "data"], check=True, capture_output=True)


def _job(name: str, targets: Sequence[str]) -> dict[str, object]:
    return {"job_name": name, "static_configs": [{"targets": list(targets)}]}


def _web(folder: Path, authenticates: bool, certificate: Certificate | None) -> dict[str, object]:
    web: dict[str, object] = {}
    if authenticates:
        web["basic_auth_users"] = {USER: _HASH}
    if certificate:
        chain, key = certificate.save(folder)
        web["tls_server_config"] = {"cert_file": str(chain), "key_file": str(key)}
    return web
