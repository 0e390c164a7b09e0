"""Options of sources that send HTTP: who asks, on which way, and whom to trust."""

from __future__ import annotations

import ssl
from base64 import b64encode
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, SecretStr, model_validator

from healthd.checks.http_address import HeaderName, HeaderValue
from healthd.checks.oauth2 import OAuth2
from healthd.checks.proxy_option import ProxyOption, own_proxy
from healthd.config.model import Model
from healthd.http.outgoing import DIRECT
from healthd.runtime.credential import APIKey
from healthd.units import Size
from healthd_gates.sources.contract import SourceConfig


class Tls(Model):
    """Verification of an `https` address, and the client certificate."""

    ca: Path | None = None
    """The authorities to trust, instead of the system's: a PEM file."""
    certificate: Path | None = None
    """The certificate to show: a PEM file."""
    key: Path | None = None
    """The key of the certificate: a PEM file."""
    server_name: str | None = None
    """The name that the server's certificate must have, if not that of the address."""
    verify: bool = True
    """True if the server's certificate is verified."""

    @model_validator(mode="after")
    def _key_has_certificate(self) -> Self:
        if self.key is not None and self.certificate is None:
            raise ValueError("key needs the certificate that it belongs to")
        return self

    def context(self) -> ssl.SSLContext:
        """Return one context for all that have the same options, as each takes 80 ms to make and holds a megabyte;
        changed files are read again. Raises OSError or ssl.SSLError."""
        changed = tuple(path.stat().st_mtime_ns for path in (self.ca, self.certificate, self.key) if path is not None)
        return _context(self.ca, self.certificate, self.key, self.verify, changed)


@lru_cache(maxsize=64)
def _context(
    ca: Path | None, certificate: Path | None, key: Path | None, verify: bool, _changed: tuple[int, ...]
) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


class Basic(Model):
    """A name and a password."""

    username: str
    """The user's name."""
    password: SecretStr
    """The password."""


class DirectHttpConfig(SourceConfig):
    """The options of a source that sends HTTP to the targets themselves."""

    bearer: APIKey | None = None
    """A bearer token."""
    basic: Basic | None = None
    """A name and a password for basic authentication."""
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    """Headers to send with every request, such as a tenant's id."""
    tls: Tls = Tls()
    """Verification of an https address, and the client certificate."""
    max_size: Size = 64 * 1024**2
    """The longest answer that is read, after decompression."""

    keys: ClassVar[tuple[str, ...]] = ("bearer", "basic")
    """The options that say who asks, of which there may be one."""

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        given = [key for key in self.keys if getattr(self, key) is not None]
        given += [f"the header {name}" for name in self.headers if name.lower() == "authorization"]
        if len(given) > 1:
            raise ValueError(f"{given[0]} and {given[1]} are two ways to say who asks: give one")
        return self

    @property
    def is_apart(self) -> bool:
        return False

    def sent_headers(self) -> dict[str, str]:
        """Return the headers, with the secrets in plain text."""
        headers = {name: value.get_secret_value() for name, value in self.headers.items()}
        if self.bearer is not None:
            headers["Authorization"] = f"Bearer {self.bearer.get_secret_value()}"
        if self.basic is not None:
            login = f"{self.basic.username}:{self.basic.password.get_secret_value()}"
            headers["Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
        return headers


class HttpConfig(DirectHttpConfig):
    """The options of a source that asks a server by HTTP."""

    oauth2: OAuth2 | None = None
    """Client credentials of OAuth 2.0, whose token is sent as Authorization."""
    proxy: ProxyOption | None = None
    """Proxy to go through instead of that of `outgoing`, such as `http://proxy.internal:3128`, or `none`."""

    keys: ClassVar[tuple[str, ...]] = (*DirectHttpConfig.keys, "oauth2")

    @property
    def is_apart(self) -> bool:
        return True

    @property
    def is_of_targets(self) -> bool:
        """True if it asks the targets of the service themselves."""
        return False

    @property
    def own_way(self) -> str | None:
        """The way of its requests if not that of `outgoing`, as `proxy_to` takes it: targets are reached past every
        proxy, as by their traffic."""
        return own_proxy(self.proxy) or (DIRECT if self.is_of_targets else None)
