"""Calls of commands to a running daemon: HEALTHD_URL says where it is, HEALTHD_TOKEN holds the token."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

import aiohttp
import click
from yarl import URL

from healthd.checks.unreachable import why_not_asked

_COULD_NOT_ASK = 3
_WITHIN = 10.0  # seconds


def ask(
    method: str, path: str, body: dict[str, Any] | None = None, query: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the daemon's answer. Ends the program with 1 when it refuses, with 3 when it cannot be asked."""
    url = os.environ.get("HEALTHD_URL", "http://127.0.0.1:8080")
    try:
        status, document = asyncio.run(_call(method, _address(url, path, query), body))
    except (aiohttp.ClientError, TimeoutError) as error:
        click.echo(f"{why_not_asked(error, url, _WITHIN)}", err=True)
        sys.exit(_COULD_NOT_ASK)
    except ValueError:
        click.echo(f"{url} answers, and not with JSON: is this the address of healthd?", err=True)
        sys.exit(_COULD_NOT_ASK)
    if status >= 400 or not isinstance(document, dict):
        title, detail = (document.get("title"), document.get("detail")) if isinstance(document, dict) else (None, None)
        click.echo(f"refused ({status}): {detail or title or 'no reason was given'}", err=True)
        sys.exit(_COULD_NOT_ASK if status in (401, 403) or status >= 500 else 1)
    return document


async def _call(method: str, url: URL, body: dict[str, Any] | None) -> tuple[int, Any]:
    token = os.environ.get("HEALTHD_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    limit = aiohttp.ClientTimeout(total=_WITHIN)
    async with (
        aiohttp.ClientSession(timeout=limit, headers=headers) as session,
        session.request(method, url, json=body, allow_redirects=False) as response,
    ):
        return response.status, json.loads(await response.text())


def _address(url: str, path: str, query: Mapping[str, str] | None) -> URL:
    address = URL(url.rstrip("/") + path, encoded=True)
    return address.with_query(query) if query else address
