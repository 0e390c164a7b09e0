"""PostgreSQL addresses: libpq's parameters are read, and those of Prisma, node-postgres, JDBC and similar are
translated.

libpq's are those of PostgreSQL 18, section "Parameter Key Words"; that it reads `ssl=true` as `sslmode=require` is in
its `conninfo_uri_parse_params`.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from healthd.addresses.files import missing_file
from healthd.addresses.postgresql_overrides import overridden
from healthd.addresses.postgresql_values import checked_value
from healthd.addresses.words import APPLICATIONS, Word, joined, names, notes, refuse_misspelt, split

_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")
_DRIVER = names("""
        host port dbname user password passfile service sslmode sslcert sslkey sslrootcert sslnegotiation sslcrl
        sslpassword ssl_min_protocol_version ssl_max_protocol_version target_session_attrs krbsrvname gsslib
    """)
# Settings of a session, which the driver sends when it connects, as Go's and Node's drivers do.
_SETTINGS = names("""
        application_name options search_path statement_timeout lock_timeout idle_in_transaction_session_timeout
        idle_session_timeout timezone datestyle role
    """)
# Parameters that libpq has and asyncpg lacks; `connect_timeout` and `hostaddr` are handled below.
_LIBPQ_ALONE = names("""
        hostaddr connect_timeout require_auth channel_binding client_encoding fallback_application_name
        keepalives keepalives_idle keepalives_interval keepalives_count tcp_user_timeout replication gssencmode
        gssdelegation sslcompression sslcertmode sslcrldir sslsni sslkeylogfile requirepeer load_balance_hosts
        requiressl min_protocol_version max_protocol_version scram_client_key scram_server_key servicefile
        oauth_issuer oauth_client_id oauth_client_secret oauth_scope
    """)
_LIBPQ = (_DRIVER | _LIBPQ_ALONE | {"application_name", "options"}) - {"requiressl"}
_GUARDING = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "channel_binding", "require_auth")
_WHY = {
    **dict.fromkeys(_LIBPQ_ALONE, "the driver here has no such option"),
    **dict.fromkeys(
        names("""
        connection_limit pool_timeout socket_timeout statement_cache_size max_idle_connection_lifetime
        max_connection_lifetime single_use_connections sslaccept sslidentity max min idletimeoutmillis
        query_timeout connectiontimeoutmillis keepalive uselibpqcompat pool_size max_overflow pool_max_conns
        pool_min_conns pool_max_conn_lifetime default_query_exec_mode sslfactory logintimeout connecttimeout
        sockettimeout tcpkeepalive preparethreshold binarytransfer reparserewrittenbatchinserts
        sslhostnameverifier pgbouncer schema currentschema prepared_statement_cache_size prepared_statements
        command_timeout
    """),
        APPLICATIONS,
    ),
    "channel_binding": "the driver here logs in by SCRAM without a channel binding",
    "client_encoding": "the driver here always speaks UTF-8",
    "sslcert": "no sslkey is named that goes with it",
}
_SYSTEM = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True, slots=True)
class PostgreSQLAddress:
    """Address whose parameters are those that asyncpg knows. It holds a password: never show it."""

    uri: str
    notes: tuple[str, ...] = ()
    """Notes on the parameters that are dropped; none contains a secret."""
    connect_timeout: float | None = None
    """Timeout of connecting, in seconds."""
    schema: str | None = None
    """Schema of the application's tables, as Prisma and JDBC name it."""
    pooled: bool = False
    """True if a pooler gives each transaction another connection, as Prisma says it."""
    role: str | None = None
    """Role that the connection switches to, where the address names one."""
    files: tuple[tuple[str, str], ...] = ()
    """Files that the address names, by parameter."""

    @property
    def search_path(self) -> dict[str, str]:
        """Return the session setting `search_path` that finds the tables of `schema`, where it is not the database's
        default."""
        if self.schema is None or self.schema == "public":
            return {}
        quoted = self.schema.replace('"', '""')
        return {"search_path": f'"{quoted}"'}

    @property
    def demands_tls(self) -> bool:
        """True if a connection without TLS is refused: by the address, or where that says nothing by the variable that
        the driver reads."""
        modes = [word.value for word in split(self.uri)[1] if word.name == "sslmode"] or [
            os.environ.get("PGSSLMODE", "")
        ]
        return modes[-1] in ("require", "verify-ca", "verify-full")

    def missing_file(self) -> str | None:
        """Return a sentence on the first file that cannot be read. Reads the disk."""
        return missing_file(self.files)


def read_postgresql(uri: str) -> PostgreSQLAddress:
    """Read an address. Raises ValueError, never with any part of a value except a TLS mode."""
    head, given = split(uri)
    words, aside = _translated(given)
    unknown = [word.name for word in aside if word.name.lower() not in _WHY]
    refuse_misspelt(unknown, _GUARDING)
    named = {word.name.lower(): word.value for word in aside}
    addresses = named.get("hostaddr", "")
    head = overridden(head, words, addresses)
    told = [word.name for word in aside if word.name.lower() not in _SEEN_TO and not _as_it_is(word)]
    compared = (_BY_ADDRESS,) if addresses and words.get("sslmode", Word("", "")).value == "verify-full" else ()
    return PostgreSQLAddress(
        uri=joined(head, words.values()),
        notes=(*notes(told, _WHY, _LIBPQ), *compared),
        connect_timeout=_seconds(named.get("connect_timeout")),
        schema=named.get("schema") or named.get("currentschema") or None,
        role=_role(head),
        pooled=named.get("pgbouncer", "").lower() == "true",
        files=tuple((name, words[name].value) for name in _FILES if name in words and words[name].value),
    )


def for_libpq(uri: str) -> tuple[str, tuple[str, ...]]:
    """Return the address for programs that use libpq itself, such as pg_dump, and the notes. Raises ValueError."""
    head, given = split(uri)
    words, aside = _translated(given)
    refuse_misspelt([word.name for word in aside if word.name.lower() not in _WHY], _GUARDING)
    head = overridden(head, words)
    kept = [word for word in words.values() if word.name in _LIBPQ]
    kept += [word for word in aside if word.name in _LIBPQ_ALONE]
    told = [word.name for word in given if word.name.lower() not in _SEEN_TO and word.name.lower() not in _LIBPQ]
    return joined(head, kept), notes([name for name in told if name not in _UNDERSTOOD], _WHY, _LIBPQ)


_SEEN_TO = frozenset(
    ("connect_timeout", "hostaddr", "schema", "currentschema", "pgbouncer", "fallback_application_name")
)
_BY_ADDRESS = (
    "hostaddr is what the driver here compares with the server's certificate: it does not look at the name in host"
)
_UNDERSTOOD = frozenset(("ssl", "requiressl", "database"))


def _translated(given: Iterable[Word]) -> tuple[dict[str, Word], list[Word]]:
    """Return the parameters for the driver by name, and those that it does not know."""
    words: dict[str, Word] = {}
    aside: list[Word] = []
    for word in given:
        name, value = word.name, word.value
        if name == "database":
            name = "dbname"
        elif name == "ssl" or (name == "requiressl" and value in ("0", "1")):
            if "sslmode" not in words:
                words["sslmode"] = Word("sslmode", _mode_of_flag(value))
            continue
        elif name == "sslmode":
            value = _mode(value)
        value = checked_value(name, value)
        if name in _DRIVER or name.lower() in _SETTINGS or ("." in name and name.replace(".", "_").isidentifier()):
            words[name] = Word(name, value)
        else:
            aside.append(Word(word.name, value))
    _fill_in(words, {word.name: word.value for word in aside})
    _rest_on_the_system(words)
    if "sslcert" in words and "sslkey" not in words and not _is_at_home("postgresql.key"):
        aside.append(words.pop("sslcert"))  # Prisma's parameter for the authority's certificate
    return words, aside


def _fill_in(words: dict[str, Word], aside: dict[str, str]) -> None:
    if "application_name" not in words and aside.get("fallback_application_name"):
        words["application_name"] = Word("application_name", aside["fallback_application_name"])


def _rest_on_the_system(words: dict[str, Word]) -> None:
    """Use the system's authorities for `sslrootcert=system`, with full verification of the certificate; the same for
    `verify-…` where no authority is named or in the home directory."""
    mode, root = words.get("sslmode"), words.get("sslrootcert")
    if root is not None and root.value == "system":
        words["sslmode"] = Word("sslmode", "verify-full")
    elif root is not None or mode is None or not mode.value.startswith("verify") or _has_authorities():
        return
    words["sslrootcert"] = Word("sslrootcert", ssl.get_default_verify_paths().cafile or _SYSTEM)


def _role(head: str) -> str | None:
    user, at, _ = head.partition("://")[2].rpartition("@")
    return unquote(user.partition(":")[0]) or None if at else None


def _mode(value: str) -> str:
    mode = value.strip().lower().replace("_", "-")
    if mode == "no-verify":  # node-postgres' mode for TLS without verification of the certificate
        return "require"
    if mode and mode not in _MODES:
        raise ValueError(f"has an sslmode that nobody knows: write one of {', '.join(_MODES)}")
    return mode


def _mode_of_flag(value: str) -> str:
    if value.lower() in ("", "1", "true", "yes", "on"):
        return "require"
    return "disable" if value.lower() in ("0", "false", "no", "off") else _mode(value)


def _seconds(value: str | None) -> float | None:
    """Return a timeout as libpq reads it: whole seconds, at least two; no value, or less than one, is no limit."""
    return float(max(2, int(value))) if value and int(value) > 0 else None


def _as_it_is(word: Word) -> bool:
    """True if the parameter asks for what the driver does anyway."""
    name, value = word.name.lower(), word.value.lower()
    return (name, value) in {
        ("channel_binding", "disable"), ("channel_binding", "prefer"), ("gssencmode", "disable"),
        ("gssencmode", "prefer"), ("client_encoding", "utf8"),
        ("client_encoding", "utf-8"), ("client_encoding", "auto"),
        ("load_balance_hosts", "disable"), ("sslsni", "1"), ("sslcompression", "0"), ("replication", "false"),
    }  # fmt: skip


def _has_authorities() -> bool:
    return bool(os.environ.get("PGSSLROOTCERT")) or _is_at_home("root.crt")


def _is_at_home(name: str) -> bool:
    """True if libpq's folder in the home directory has the file."""
    try:
        return (Path.home() / ".postgresql" / name).exists()
    except (OSError, RuntimeError):  # no home directory
        return False
