"""The connection of a command to the daemon: its options, and every connection error as one line and exit code 3."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import urlsplit

import click

from healthd.commands.daemon import HERE, NO_TOKEN, address_of_daemon, fail, token_of_caller
from healthd.commands.options import Seconds
from healthd_gates.client.client import GateClient
from healthd_gates.client.credentials import Credentials, GitHubActions, TokenFile
from healthd_gates.client.exit_codes import INTERRUPTED
from healthd_gates.client.transport import Refused, Unreachable

Params = ParamSpec("Params")
ResultT = TypeVar("ResultT")


def asking(command: Callable[Concatenate[GateClient, Params], Awaitable[ResultT]]) -> Callable[..., ResultT]:
    """A command that talks to the daemon: adds the options for that, and hands it a client."""

    @click.option("--url", envvar="HEALTHD_URL", default=HERE, help="Where the daemon is.  [env: HEALTHD_URL]")
    @click.option(
        "--token-file",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="A file that holds the bearer token; without one, $HEALTHD_TOKEN, or GitHub Actions' own.",
    )
    @click.option(
        "--retry-for",
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        type=Seconds(may_be_zero=True),
        help="How long to go on trying while the daemon does not answer.",
    )
    @wraps(command)
    def wrapped(url: str, token_file: Path | None, retry_for: float, *args: Any, **kwargs: Any) -> ResultT:
        token, address = token_of_caller(token_file), address_of_daemon(url, "--url or HEALTHD_URL")
        by_github = token is None and GitHubActions.are_there(os.environ)

        async def ask() -> ResultT:
            credentials: str | Credentials | None = TokenFile(token_file) if token_file else token
            if by_github:
                credentials = GitHubActions(os.environ, os.environ.get("HEALTHD_AUDIENCE") or address)
            waiting = None if kwargs.get("quiet") else partial(click.echo, err=True)
            async with GateClient(address, credentials, retry_for=retry_for, waiting=waiting) as client:
                return await command(client, *args, **kwargs)

        try:
            return asyncio.run(ask())
        except Unreachable as error:
            fail(str(error))
        except Refused as error:
            fail(_explained(error, token or by_github, address))
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)

    return wrapped


def _explained(refused: Refused, token: str | bool, url: str) -> str:
    text = str(refused)
    if refused.status == 404 and (path := urlsplit(url).path.rstrip("/")):
        return f"{text} (asked below {path}: the URL is the daemon's address, mostly without a path)"
    if refused.status == 401 and not token:
        return f"{text}. {NO_TOKEN}"
    return text
