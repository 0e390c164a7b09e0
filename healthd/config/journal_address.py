"""Addresses of the journal: a file of SQLite, or PostgreSQL."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, SecretStr

from healthd.addresses.postgresql import read_postgresql
from healthd.checks.database import checked_uri
from healthd.config.home import not_expanded


def _readable(url: SecretStr) -> SecretStr:
    if not re.match(r"sqlite:///(?!:memory:($|\?))[^?]|postgres(ql)?://.", url.get_secret_value()):
        raise ValueError("write sqlite:////absolute/path/to/file or postgresql://user:password@host/database")
    if (path := url.get_secret_value().removeprefix("sqlite:///")).startswith("~"):
        raise ValueError(not_expanded(path.partition("?")[0]).replace("${HOME}", "sqlite:///${HOME}"))
    if url.get_secret_value().startswith("postgres"):
        read_postgresql(checked_uri(url, "postgresql", "postgres").get_secret_value())
    return url


def note_on_folder(url: str) -> str | None:
    """Return a note where the folder of SQLite's file does not exist, nor the one that it would be in: that may be a
    typing error. Reads the disk."""
    scheme, _, rest = url.partition(":///")
    folder = Path(rest.partition("?")[0]).absolute().parent
    if scheme != "sqlite" or folder.parent.exists():
        return None
    return f"the folder {folder} does not exist: it is made at the start, if this user may"


JournalAddress = Annotated[SecretStr, AfterValidator(_readable)]
