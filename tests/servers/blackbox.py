"""Prometheus's blackbox exporter, to compare probes with."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

from tests.servers.ports import HOST
from tests.servers.process import Process, Server, own_folder, serving
from tests.servers.programs import require

_MODULES: Mapping[str, object] = {
    "http_2xx": {"prober": "http", "http": {"preferred_ip_protocol": "ip4"}},
    "tcp_connect": {"prober": "tcp"},
}


@dataclass(frozen=True)
class Blackbox(Server):
    """A running exporter."""

    def probe_url(self, target: str, module: str = "http_2xx") -> str:
        """Where a GET probes `target` and gives the metrics of the probe."""
        return f"http://{self.host}:{self.port}/probe?{urlencode({'target': target, 'module': module})}"


@contextmanager
def running(modules: Mapping[str, object] = _MODULES) -> Iterator[Blackbox]:
    """An exporter with these modules."""

    with own_folder() as folder:

        def prepare(port: int) -> Process:
            (folder / "blackbox.yml").write_text(json.dumps({"modules": modules}))  # JSON is YAML
            argv = [
                require("prometheus-blackbox-exporter"),
                f"--config.file={folder / 'blackbox.yml'}",
                f"--web.listen-address={HOST}:{port}",
            ]
            return Process(argv, lambda process: process.listens(port), log=folder / "log")

        with serving(prepare) as (port, process):
            yield Blackbox(port, process)
