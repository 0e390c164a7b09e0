"""AWS's APIs as moto imitates them.

Its load balancers' targets are always healthy and never drain, and percentiles of CloudWatch fail: answers of those
kinds come from a `peers.Peer` in front.
"""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.servers.ports import HOST
from tests.servers.process import Process, Server, own_folder, serving
from tests.servers.programs import require

# Any will do; the SDKs refuse to go without.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class Moto(Server):
    """A running server; `url` is the endpoint of every AWS service."""

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def reset(self) -> None:
        """Forget every resource."""
        request = urllib.request.Request(f"{self.url}/moto-api/reset", method="POST")
        with urllib.request.urlopen(request, timeout=5):
            pass


@contextmanager
def running() -> Iterator[Moto]:
    """A server with no resources."""

    with own_folder() as folder:

        def prepare(port: int) -> Process:
            argv = [require("moto_server"), "-H", HOST, "-p", str(port)]
            return Process(argv, lambda process: process.listens(port), log=folder / "log", cwd=folder)

        with serving(prepare) as (port, process):
            yield Moto(port, process)
