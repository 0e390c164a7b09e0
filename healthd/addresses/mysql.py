"""MySQL addresses: words of MySQL's own (dev.mysql.com/doc/refman/en/connecting-using-uri-or-key-value-pairs.html) are
read whatever their case and with or without `-` and `_`; those of Prisma, JDBC and pools are the application's, and
are dropped."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from healthd.addresses.words import APPLICATIONS, names, notes, refuse_misspelt, split
from healthd.runtime.authority import authority_of

Mode = Literal["disabled", "preferred", "required", "verify_ca", "verify_identity"]
_MODES: dict[str, Mode] = {
    "disabled": "disabled",
    "disable": "disabled",
    "false": "disabled",
    "preferred": "preferred",
    "prefer": "preferred",
    "required": "required",
    "require": "required",
    "true": "required",
    "verifyca": "verify_ca",
    "verifyidentity": "verify_identity",
    "verifyfull": "verify_identity",
}
_MODE_WORDS = names("sslmode ssl tls usessl")
_FILES = names("sslca sslcert sslkey")
_SHOWN = ("ssl-mode", "ssl-ca", "ssl-cert", "ssl-key")
_APPLICATIONS = names("""
        charset collation timezone connecttimeout readtimeout writetimeout sockettimeout connectionlimit pooltimeout
        poolsize maxoverflow maxpoolsize minpoolsize statementcachesize parsetime loc multistatements
        allowmultiqueries autoreconnect servertimezone useunicode characterencoding allowpublickeyretrieval
        getserverpublickey compression autocommit sqlmode
    """)


@dataclass(frozen=True, slots=True)
class MySQLAddress:
    """Address of a server, and the user who asks it. It holds a password: never show it."""

    host: str
    port: int
    user: str
    password: str
    database: str | None
    mode: Mode = "preferred"
    """Encryption of the connection, as MySQL names it."""
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    notes: tuple[str, ...] = ()
    """Notes on the parameters that are dropped; none contains a secret."""

    @property
    def demands_tls(self) -> bool:
        return self.mode not in ("disabled", "preferred")

    def context(self) -> ssl.SSLContext | None:
        """Return what the connection is encrypted with; None for no encryption. Raises OSError or ssl.SSLError."""
        if self.mode == "disabled":
            return None
        context = ssl.create_default_context(cafile=self.ca)
        context.check_hostname = self.mode == "verify_identity"
        if not self.mode.startswith("verify"):
            context.verify_mode = ssl.CERT_NONE
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        return context


def read_mysql(uri: str) -> MySQLAddress:
    """Read an address. Raises ValueError, never with any part of a value."""
    head, given = split(uri)
    mode: Mode = "preferred"
    files, aside = dict[str, str](), list[str]()
    for word in given:
        name = _plain(word.name)
        if name in _MODE_WORDS:
            found = _MODES.get(_plain(word.value))
            if found is None:
                known = "DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY"
                raise ValueError(f"has a value of {word.name} that is none of {known}")
            mode = found
        elif name in _FILES:
            if not Path(word.value).is_absolute():
                raise ValueError(f"names a file by {word.name} that is no absolute path")
            files[name] = word.value
        else:
            aside.append(word.name)
    why = {name.lower(): APPLICATIONS for name in aside if _plain(name) in _APPLICATIONS}
    refuse_misspelt([name for name in aside if name.lower() not in why], _SHOWN)
    if ("sslcert" in files) is not ("sslkey" in files):
        raise ValueError("needs both ssl-cert and ssl-key, or neither: an authority's certificate is ssl-ca")
    user, password, host, port = _authority(head)
    path = head.partition("://")[2].partition("/")[2]
    return MySQLAddress(
        host,
        port,
        user,
        password,
        unquote(path) or None,
        mode,
        files.get("sslca"),
        files.get("sslcert"),
        files.get("sslkey"),
        notes(aside, why, _SHOWN),
    )


def _authority(head: str) -> tuple[str, str, str, int]:
    userinfo, _, address = authority_of(head).rpartition("@")
    name, _, password = userinfo.partition(":")
    if "," in address:
        raise ValueError("names several hosts: the driver here connects to one")
    if address.startswith("["):
        host, _, rest = address[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = address.partition(":")
    return unquote(name), unquote(password), unquote(host) or "localhost", int(port or 3306)


def _plain(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "")
