"""Option `proxy` of a part that asks other hosts."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, SecretStr
from yarl import URL

from healthd.http.outgoing import DIRECT
from healthd.runtime.authority import authority_of, problem_of_authority, refuse_ends


def proxy_address(secret: SecretStr, other: str = "", *, needs_port: bool = True) -> SecretStr:
    """Return the address of a proxy. Raises ValueError, never with any part of it; `other` is what else may be
    written."""
    text = secret.get_secret_value()
    form = f"write http://host:port {other}".strip()
    refuse_ends(text)
    if (problem := problem_of_authority(authority_of(text))) is not None:
        raise ValueError(f"is not the address of a proxy: {form}; it {problem}")
    try:
        url = URL(text)
        port = url.explicit_port
    except ValueError:
        raise ValueError(f"is not the address of a proxy: {form}") from None
    if url.scheme in ("https", "socks", "socks4", "socks4a", "socks5", "socks5h"):
        raise ValueError(f"is a proxy of another kind: {form}; what goes to https:// is encrypted through it as well")
    if url.scheme != "http" or not url.host or (port is None and needs_port):
        raise ValueError(f"is not the address of a proxy: {form}")
    if url.path not in ("", "/") or url.query_string or url.fragment:
        raise ValueError(f"has something after its port: {form}")
    return secret


def _proxy_or_none(secret: SecretStr) -> SecretStr:
    return secret if secret.get_secret_value() == DIRECT else proxy_address(secret, f"or {DIRECT}")


ProxyOption = Annotated[SecretStr, AfterValidator(_proxy_or_none)]
"""Address of a proxy, or `none`, which leads past every proxy."""


def own_proxy(option: SecretStr | None) -> str | None:
    """Return the option as `healthd.http.outgoing.proxy_to` takes it."""
    return option.get_secret_value() if option is not None else None
