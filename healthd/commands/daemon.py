"""The daemon that a command asks: its address and the caller's token, and every fault of those as one line and exit
code 3."""

from __future__ import annotations

import os
import re
import sys
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import click

from healthd.runtime.late import told_if_late

HERE = "http://127.0.0.1:8080"
COULD_NOT_ASK = 3
NO_TOKEN = "Set HEALTHD_TOKEN, or make a token with `healthd token new`."
"""The cure for a call without one, which was refused."""
_LATE = 2.0  # seconds


def fail(message: str) -> NoReturn:
    """Print one line to stderr, and end with the exit code for a question that could not be asked."""
    click.echo(message, err=True)
    sys.exit(COULD_NOT_ASK)


def telling_if_late(shown: str, within: float) -> AbstractContextManager[None]:
    """Tell on stderr, once, that the daemon `shown` is still being waited for, and how many seconds at most."""
    said = f"{shown} has not answered yet; waiting for up to {within:g} s"
    return told_if_late(_LATE, partial(click.echo, said, err=True))


def address_of_daemon(given: str | None = None, place: str = "HEALTHD_URL") -> str:
    """Return the address that was given at `place`, else HEALTHD_URL, else this host's, without a last slash."""
    url = (given or os.environ.get("HEALTHD_URL") or HERE).strip()
    if (problem := problem_with(url, f", from {place},")) is not None:
        fail(problem)
    return url.rstrip("/")


def problem_with(url: str, origin: str = "") -> str | None:
    """Return the reason, with its cure, why this is no address of a daemon; None where it is one."""
    if not url.startswith(("http://", "https://")):
        cure = "https://healthd.example.org" if "://" in url else f"http://{url}, or with https://"
        return f"{url}{origin} is not a URL: write it as {cure}"
    return None if _names_a_host(url) else f"{url} names no host: write it as https://healthd.example.org"


def token_of_caller(file: Path | None = None) -> str | None:
    """Return the token of a file, or of HEALTHD_TOKEN, in a form that can be sent: without the line's end that an
    editor or a shell left."""
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


def _names_a_host(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname) and (urlsplit(url).port or 1) > 0
    except ValueError:
        return False
