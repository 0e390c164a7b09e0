"""The connection of a command to the daemon: its options, and every connection error as one line and exit code 3."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, NoReturn, ParamSpec, TypeVar
from urllib.parse import urlsplit

import click

from healthd_gates.client.client import GateClient
from healthd_gates.client.credentials import Credentials, GitHubActions, TokenFile
from healthd_gates.client.exit_codes import COULD_NOT_ASK, INTERRUPTED
from healthd_gates.client.transport import Refused, Unreachable

_HERE = "http://127.0.0.1:8080"
Params = ParamSpec("Params")
ResultT = TypeVar("ResultT")


def asking(command: Callable[Concatenate[GateClient, Params], Awaitable[ResultT]]) -> Callable[..., ResultT]:
    """A command that talks to the daemon: adds the options for that, and hands it a client."""

    @click.option("--url", envvar="HEALTHD_URL", default=_HERE, help="Where the daemon is.  [env: HEALTHD_URL]")
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
        type=click.FloatRange(min=0),
        help="How long to go on trying while the daemon does not answer.",
    )
    @wraps(command)
    def wrapped(url: str, token_file: Path | None, retry_for: float, *args: Any, **kwargs: Any) -> ResultT:
        token = _token(token_file)
        by_github = token is None and GitHubActions.are_there(os.environ)
        if not url.startswith(("http://", "https://")):
            cure = "https://healthd.example.org" if "://" in url else f"http://{url}, or with https://"
            fail(f"{url}, from --url or HEALTHD_URL, is not a URL: write it as {cure}")
        if not _is_address(url):
            fail(f"{url} names no host: write it as https://healthd.example.org")

        async def ask() -> ResultT:
            credentials: str | Credentials | None = TokenFile(token_file) if token_file else token
            if by_github:
                credentials = GitHubActions(os.environ, os.environ.get("HEALTHD_AUDIENCE") or url.rstrip("/"))
            async with GateClient(url, credentials, retry_for=retry_for) as client:
                return await command(client, *args, **kwargs)

        try:
            return asyncio.run(ask())
        except Unreachable as error:
            fail(str(error))
        except Refused as error:
            fail(_explained(error, token or by_github, url))
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)

    return wrapped


def fail(message: str) -> NoReturn:
    """One line on stderr, and the exit code for a question that could not be asked."""
    click.echo(message, err=True)
    sys.exit(COULD_NOT_ASK)


def _token(file: Path | None) -> str | None:
    """The token of a file, or of $HEALTHD_TOKEN; in a form that can be sent."""
    place = str(file) if file else "HEALTHD_TOKEN"
    try:
        token = file.read_text(encoding="utf-8").strip() if file else os.environ.get("HEALTHD_TOKEN", "").strip()
    except OSError as error:
        fail(f"{place} cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"{place} holds no token: it is not text")
    if file and not token:
        fail(f"{place} is empty: it must hold a token, as `healthd token new` prints it")
    if token.lower().startswith("bearer "):
        fail(f"{place} begins with the word Bearer: leave it out, it is added")
    if not re.fullmatch(r"[!-~]*", token):
        fail(f"{place} holds no token: a token is one word, as `healthd token new` prints it")
    return token or None


def _is_address(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname) and (urlsplit(url).port or 1) > 0
    except ValueError:
        return False


def _explained(refused: Refused, token: str | bool, url: str) -> str:
    text = str(refused)
    if refused.status == 404 and (path := urlsplit(url).path.rstrip("/")):
        return f"{text} (asked below {path}: the URL is the daemon's address, mostly without a path)"
    if refused.status == 401 and not token:
        return f"{text}. Set HEALTHD_TOKEN, or make a token with `healthd token new`."
    return text
