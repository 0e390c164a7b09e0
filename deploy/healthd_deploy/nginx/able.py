"""Check that a target can take traffic: made before it gets any, since a dead one answers no request."""

from __future__ import annotations

import asyncio
import os
import re

import aiohttp

from healthd_deploy.core.exit import TargetDown, UnknownTarget
from healthd_deploy.nginx.settings import Upstream

_DEFAULT_PORT = "80"  # NGINX's default, for an address without a port


async def refuse_unable(config: Upstream, target: str, weight: float = 100.0, *, even_if_dead: bool = False) -> None:
    """Refuse a target that is not there, or cannot take what it is to get; the way back needs the other one. Raises
    UnknownTarget or TargetDown."""
    if target not in config.targets:
        raise UnknownTarget(target, config.targets)
    if not even_if_dead:
        await refuse_dead(config, target if weight else config.beside(target))


async def refuse_dead(config: Upstream, target: str) -> None:
    """Raise TargetDown where none of a target's servers answers: NGINX uses those that do."""
    servers = config.targets[target]
    problems = await asyncio.gather(*(_problem(config, server) for server in servers))
    if all(problems):
        each = [f"{server}: {problem}" for server, problem in zip(servers, problems, strict=True)]
        raise TargetDown(f"{target} cannot take the traffic ({'; '.join(each)})")


async def _problem(config: Upstream, server: str) -> str | None:
    try:
        async with asyncio.timeout(config.answers_within):
            return await (_unhealthy(config.health, server) if config.health else _unconnected(server))
    except TimeoutError:
        return f"no answer within {config.answers_within:g} s"
    except (OSError, aiohttp.ClientError) as error:
        code = getattr(error, "errno", None)  # the text of asyncio and aiohttp is for their own people
        return os.strerror(code) if code and code > 0 else getattr(error, "strerror", None) or str(error)


async def _unconnected(server: str) -> None:
    if server.startswith("unix:"):
        _, writer = await asyncio.open_unix_connection(server.removeprefix("unix:"))
    else:
        _, writer = await asyncio.open_connection(*place_of(server))
    writer.close()


async def _unhealthy(path: str, server: str) -> str | None:
    unix = server.startswith("unix:")
    connector = aiohttp.UnixConnector(server.removeprefix("unix:")) if unix else aiohttp.TCPConnector()
    async with aiohttp.ClientSession(connector=connector) as session:
        url = f"http://{'localhost' if unix else server}{path}"
        async with session.get(url, allow_redirects=False) as response:
            return None if response.status < 400 else f"GET {path} gave {response.status}"


def place_of(server: str) -> tuple[str, str]:
    """Return host and port of an address as NGINX reads it: `10.0.1.10:3000`, `api.internal`, `[::1]:3000`."""
    match = re.fullmatch(r"\[?(?P<host>[^\[\]]+?)\]?(?::(?P<port>\d+))?", server)
    return (match["host"], match["port"] or _DEFAULT_PORT) if match else (server, _DEFAULT_PORT)
