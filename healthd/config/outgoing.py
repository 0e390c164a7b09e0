"""Way to other hosts: the proxy that outgoing HTTP goes through, and the hosts that are reached without it."""

from __future__ import annotations

import os
from ipaddress import ip_network
from typing import Annotated, Any

from pydantic import BeforeValidator, SecretStr, field_validator

from healthd.checks.proxy_option import proxy_address
from healthd.config.model import Model
from healthd.http.no_proxy import VARIABLES
from healthd.http.outgoing import DIRECT, Proxy, Way

ENVIRONMENT = "environment"


def _several(raw: Any) -> Any:
    return tuple(part.strip() for part in raw.split(",") if part.strip()) if isinstance(raw, str) else raw


class Outgoing(Model):
    proxy: SecretStr | None = None
    """Proxy of outgoing HTTP, such as `http://proxy.internal:3128`, with a user and a password if it asks for them;
    `environment` is what `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` say, which are not heeded otherwise."""
    no_proxy: Annotated[tuple[str, ...], BeforeValidator(_several, json_schema_input_type=str | tuple[str, ...])] = ()
    """Hosts that are reached without the proxy: names with all below them, `.internal` for those below alone, networks
    such as `10.0.0.0/8`, a port after a colon, `*`; this host always is."""

    @field_validator("proxy")
    @classmethod
    def _is_a_proxy(cls, proxy: SecretStr | None) -> SecretStr | None:
        if proxy is None:
            return None
        if proxy.get_secret_value() == DIRECT:
            raise ValueError("none is what there is without this option: leave it out")
        if proxy.get_secret_value() != ENVIRONMENT:
            return proxy_address(proxy, f"or {ENVIRONMENT}")
        for name in VARIABLES[:4]:
            if value := os.environ.get(name):
                try:
                    proxy_address(SecretStr(value if "://" in value else f"http://{value}"), needs_port=False)
                except ValueError as error:
                    raise ValueError(f"takes it from the environment, where {name} {error}") from None
        return proxy

    @field_validator("no_proxy")
    @classmethod
    def _are_hosts(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        for entry in entries:
            if "://" in entry or any(letter.isspace() for letter in entry) or "," in entry or not entry:
                raise ValueError(f"{entry!r} is no host: write a name, an address or a network, such as 10.0.0.0/8")
            if "@" in entry:
                raise ValueError("an entry has a user or a password, and a host has none: write a name alone")
            host, _, port = entry.rpartition(":")
            if host and ":" not in host and not port.isdecimal():
                raise ValueError(f"{entry!r} has no port after its colon: write a number there, or the host alone")
            if "/" in entry:
                try:
                    ip_network(entry, strict=False)
                except ValueError:
                    raise ValueError(f"{entry!r} is no network: write one such as 10.0.0.0/8") from None
        return entries

    @property
    def lacks_variables(self) -> bool:
        """True if the proxy is to be that of the environment, and there is none."""
        is_named = self.proxy is not None and self.proxy.get_secret_value() == ENVIRONMENT
        return is_named and not any(os.environ.get(name) for name in VARIABLES[:4])

    @property
    def way(self) -> Way:
        """Way of each request."""
        if self.proxy is None:
            return Way()
        covered = ",".join(self.no_proxy)
        if self.proxy.get_secret_value() == ENVIRONMENT:
            return Way.of_environment(os.environ, covered)
        return Way(Proxy.at(self.proxy.get_secret_value()), covered)
