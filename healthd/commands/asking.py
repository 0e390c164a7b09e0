"""Calls of commands to a running daemon: HEALTHD_URL says where it is, HEALTHD_TOKEN holds the token."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import aiohttp
import click
from yarl import URL

from healthd.checks.unreachable import why_not_asked
from healthd.commands.calling import UNLIMITED, answered_within
from healthd.commands.daemon import (
    COULD_NOT_ASK,
    NO_TOKEN,
    address_of_daemon,
    fail,
    telling_if_late,
    token_of_caller,
)
from healthd.http.session import command_session
from healthd.runtime.web_address import WebAddress

_WITHIN = 10.0  # seconds


def ask(
    method: str, path: str, member: str, *, body: dict[str, Any] | None = None, query: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the daemon's answer, which has this `member`. Ends the program with 1 when it refuses, with 3 when it
    cannot be asked."""
    url, token = address_of_daemon(), token_of_caller()
    shown = WebAddress(url).masked
    try:
        status, text = answered_within(_WITHIN, _call(method, _address(url, path, query), body, token, shown))
    except (aiohttp.ClientError, TimeoutError) as error:
        fail(f"{shown} could not be asked: {why_not_asked(error, url, _WITHIN)}")
    document = _read(text)
    if status >= 400 and "title" in document:
        cure = f". {NO_TOKEN}" if status == 401 and not token else ""
        click.echo(f"refused ({status}): {document.get('detail') or document['title']}{cure}", err=True)
        sys.exit(COULD_NOT_ASK if status in (401, 403) or status >= 500 else 1)
    if status >= 400 or member not in document:
        fail(f"{shown} answers {status}, and not as healthd does: is it the address of an application or a proxy?")
    return document


def refuse_incomplete(document: Mapping[str, Any], what: str) -> None:
    """End the program with 3 where the daemon does not know all that the journal has."""
    if not document.get("complete", True):
        fail(f"the journal cannot be read now: it may have {what} that are not known here")


def _read(text: bytes) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


async def _call(method: str, url: URL, body: dict[str, Any] | None, token: str | None, shown: str) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with telling_if_late(shown, _WITHIN):
        async with (
            command_session(timeout=UNLIMITED, headers=headers) as session,
            session.request(method, url, json=body, allow_redirects=False) as response,
        ):
            return response.status, await response.read()


def _address(url: str, path: str, query: Mapping[str, str] | None) -> URL:
    address = URL(url + path, encoded=True)
    return address.with_query(query) if query else address
