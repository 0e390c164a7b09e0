"""Way of outgoing HTTP: directly, or through a proxy. The one in force holds for the whole process, and each request
asks anew: so a reload reaches sessions and connections that are open."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

from yarl import URL

from healthd.http.no_proxy import VARIABLES, is_direct, proxy_for

DIRECT = "none"
"""Value of an option `proxy` that leads past every proxy."""
_ENCRYPTED = {"https": "https", "wss": "https"}
_DEFAULT_PORT = 80


@dataclass(frozen=True, slots=True)
class Proxy:
    """HTTP proxy. Its login is in no representation of it."""

    host: str
    port: int
    user: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def at(cls, address: str) -> Proxy:
        """Return the proxy of an address such as `http://user:password@proxy:3128`. Raises ValueError, without any part
        of it, for one that is reached in another way than by HTTP."""
        url = URL(address)
        if url.scheme != "http" or not url.host:
            raise ValueError("the proxy of the environment is of another kind: write http://host:port")
        has_login = url.user is not None or url.password is not None
        return cls(
            url.host or "", url.port or _DEFAULT_PORT, (url.user or "") if has_login else None, url.password or ""
        )

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> URL:
        """Address without its login."""
        return URL.build(scheme="http", host=self.host, port=self.port)

    @property
    def address(self) -> str:
        """Address with its login, a secret, for an SDK that makes connections itself."""
        login = self.url.with_user(self.user).with_password(self.password) if self.user is not None else self.url
        return str(login)

    @property
    def headers(self) -> dict[str, str]:
        """Header of a request that logs in at the proxy (RFC 9110, 11.7.2), if it has a login."""
        if self.user is None:
            return {}
        login = f"{self.user}:{self.password}".encode()  # in UTF-8 (RFC 7617, 2.1)
        return {"Proxy-Authorization": f"Basic {base64.b64encode(login).decode()}"}


@dataclass(frozen=True, slots=True)
class Way:
    """Rule that gives each address its proxy: one proxy, or those of the variables `HTTP_PROXY` and `HTTPS_PROXY`.
    Hosts that `no_proxy` covers, and this host, are reached directly."""

    proxy: Proxy | None = None
    no_proxy: str = ""
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of_environment(cls, environ: Mapping[str, str], no_proxy: str = "") -> Way:
        """Return the way that the variables `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` lead."""
        return cls(None, no_proxy, {name: environ[name] for name in VARIABLES if name in environ})

    @property
    def has_proxies(self) -> bool:
        """True if it may lead through a proxy."""
        return self.proxy is not None or bool(self.environ)

    def to(self, url: URL) -> Proxy | None:
        """Return the proxy for an address, None where there is none between."""
        target = url.with_scheme(_ENCRYPTED.get(url.scheme, "http"))
        if is_direct(target, self.no_proxy):
            return None
        if self.proxy is not None or not self.environ:
            return self.proxy
        address = proxy_for(str(target.origin()), self.environ)
        return Proxy.at(address) if address is not None else None


_in_force = Way()


def put_in_force(way: Way) -> None:
    """Lead every request from now on this way, unless it has one of its own."""
    global _in_force  # of the process, as the environment is
    _in_force = way


def in_force() -> Way:
    return _in_force


def relayed(url: URL, own: str | None = None) -> str:
    """Return what to say after an answer to `http://` that a proxy passed on, or gave itself; nothing of a tunnel."""
    proxy = proxy_to(url, own) if url.scheme == "http" else None
    return f", through the proxy {proxy}" if proxy is not None else ""


def proxy_to(url: URL, own: str | None = None) -> Proxy | None:
    """Return the proxy for an address now: that of an option of its `own`, an address or `none`, or by the way in
    force."""
    if own is None:
        return _in_force.to(url)
    return None if own == DIRECT else Proxy.at(own)
