"""AWS's APIs as moto imitates them.

Its load balancers' targets are always healthy and never drain, and percentiles of CloudWatch fail: answers of those
kinds come from a `peers.Peer` in front.
"""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.servers.ports import HOST
from tests.servers.process import Process, Server, own_folder, serving
from tests.servers.programs import require
from tests.servers.waiting import HANGS

# Any will do; the SDKs refuse to go without.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
_IMAGES = [
    {
        "ami_id": "ami-03cf127a",
        "state": "available",
        "public": True,
        "owner_id": "801119661308",
        "image_location": "amazon/getting-started",
        "root_device_type": "ebs",
        "root_device_name": "/dev/sda1",
        "description": "An image",
        "image_type": "machine",
        "platform": "windows",
        "architecture": "x86_64",
        "name": "Windows_Server-2016-English-Nano-Base-2017.10.13",
        "virtualization_type": "hvm",
        "hypervisor": "xen",
    }
]
"""The first of the 1,301 that moto has by itself: to list those takes a second."""


@dataclass(frozen=True)
class Moto(Server):
    """A running server; `url` is the endpoint of every AWS service."""

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def reset(self) -> None:
        """Forget every resource."""
        request = urllib.request.Request(f"{self.url}/moto-api/reset", method="POST")
        with urllib.request.urlopen(request, timeout=HANGS):
            pass


@contextmanager
def running() -> Iterator[Moto]:
    """A server with no resources, and one image to run instances of."""

    with own_folder() as folder:
        images = folder / "images.json"
        images.write_text(json.dumps(_IMAGES))

        def prepare(port: int) -> Process:
            argv = [require("moto_server"), "-H", HOST, "-p", str(port)]
            return Process(
                argv,
                lambda process: process.listens(port),
                log=folder / "log",
                env={"MOTO_AMIS_PATH": str(images)},
                cwd=folder,
            )

        with serving(prepare) as (port, process):
            yield Moto(port, process)
