"""Hosts of a PostgreSQL URI that names several. The driver tries them in order and gives the first one the whole
timeout: after the failover that the list is for, a silent host would hide all later ones."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import unquote

from healthd.checks.connect import Endpoint, connect

_URI = re.compile(r"(?P<head>[a-z]+://(?:[^/?#]*@)?)(?P<hosts>[^/?#@]*)(?P<rest>.*)", re.DOTALL)
_HOST = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(?::(?P<port>\d+))?")
_PORT = 5432


async def without_silent_hosts(uri: str, patience: float | None) -> str:
    """Return `uri` with only those hosts that accept a connection within a third of the probe's timeout; unchanged
    where it names a single host, or none accepts: then the driver reports the error."""
    found = _URI.fullmatch(uri)
    hosts = found["hosts"].split(",") if found else []
    if found is None or patience is None or len(hosts) < 2:
        return uri
    tasks = {asyncio.create_task(_accepts(host), name=f"host {host}"): host for host in hosts}
    try:
        await asyncio.wait(tasks, timeout=patience / 3)
        accepting = [host for task, host in tasks.items() if task.done() and task.result()]
    finally:
        for task in tasks:
            task.cancel()
    return f"{found['head']}{','.join(accepting or hosts)}{found['rest']}"


async def _accepts(host: str) -> bool:
    parts = _HOST.fullmatch(host)
    if parts is None or not parts["host"] or unquote(parts["host"]).startswith("/"):
        return True  # a Unix socket of this machine, or something unreadable: left to the driver
    try:
        found = await connect(Endpoint(parts["host"].strip("[]"), int(parts["port"] or _PORT)))
    except OSError:
        return False
    found.close()
    return True
