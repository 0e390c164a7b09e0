"""Addresses of the journal: a file of SQLite, or PostgreSQL."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, SecretStr

from healthd.addresses.postgresql import read_postgresql
from healthd.checks.database import checked_uri


def _readable(url: SecretStr) -> SecretStr:
    if not re.match(r"sqlite:///(?!:memory:($|\?))[^?]|postgres(ql)?://.", url.get_secret_value()):
        raise ValueError("write sqlite:///path/to/file or postgresql://user:password@host/database")
    if url.get_secret_value().startswith("postgres"):
        read_postgresql(checked_uri(url, "postgresql", "postgres").get_secret_value())
    return url


JournalAddress = Annotated[SecretStr, AfterValidator(_readable)]
