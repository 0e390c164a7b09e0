"""The quickstart, from its step 2 on, with the healthd of one folder and nothing else of Python's."""

import re
import socket
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.acceptance.guide import Shell, blocks, carry_out
from tests.servers.ports import HOST, free_port
from tests.servers.waiting import until_now

DOCS = Path(__file__).parents[2] / "docs"
_PORTS = ("8080", "3000", "3001")


def is_reached(folder: Path, programs: Path, also: Sequence[str] = (), **env: str) -> list[str]:
    """Do word for word what the page says, in `folder`, and see what it shows: a gate that passes, and a rollback that
    is carried out and confirmed. Behind the gate that passes run the commands of `also`; what they print is
    returned."""
    printed = []
    ports = dict(zip(_PORTS, map(str, (free_port() for _ in _PORTS)), strict=True))
    address = f"127.0.0.1:{ports['8080']}"
    shell = Shell(folder, f"http://{address}", PATH=f"{programs}:/usr/local/bin:/usr/bin:/bin", **env)
    try:
        for kind, text in blocks(DOCS / "quickstart.md", ports):
            if kind == "yaml":
                listen = f"http: {{listen: {address}, drain: 100ms}}"
                text = text.replace("http: {drain: 100ms}", listen)
                (folder / "healthd.yaml").write_text(text, encoding="utf-8")
            elif kind == "console":
                carry_out(shell, text)
                _wait_for_servers(text)
                if "/gates/verify" in text:
                    printed = [line for command in also for line in shell.run(command)]
    finally:
        shell.close()
    return printed


def _wait_for_servers(typed: str) -> None:
    """Wait for the servers that a block started behind it, as the time does that a person needs to go on."""
    for port in map(int, re.findall(r"http\.server (\d+)", typed)):
        until_now(partial(_is_open, port), f"nobody listens at {port}")


def _is_open(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex((HOST, port)) == 0
