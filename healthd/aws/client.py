"""Clients of AWS's services. The SDK is imported when the first one is made."""

from __future__ import annotations

from functools import cache
from typing import Any

from yarl import URL

from healthd.http.outgoing import in_force


def new_client(
    service: str,
    *,
    region: str | None,
    endpoint: str | None,
    timeout: float,
    attempts: int = 1,
    retries: str = "legacy",
    session: Any = None,
    **more: Any,
) -> Any:
    """Return an asynchronous context manager that gives the client of a service such as `elbv2`.

    `timeout` is in seconds, for connecting and for each read; `retries` is the SDK's retry mode, for more than one
    attempt. Clients of one `session` (of `new_session`) look for credentials once; a client without one finds
    credentials that were changed since.
    """
    from aiobotocore.config import AioConfig

    limits = AioConfig(
        connect_timeout=timeout,
        read_timeout=timeout,
        retries={"mode": retries, "total_max_attempts": attempts},
        # Reading the SDK's description of a service takes long enough to block the event loop: this does it in a
        # thread.
        warm_up_loader_caches=True,
        proxies=proxies_to(service, region, endpoint),
        # A store of one's own has no name for each bucket.
        s3={"addressing_style": "path"} if endpoint else None,
    )
    made: Any = session or new_session()
    return made.create_client(service, region_name=region, endpoint_url=endpoint, config=limits, **more)


def proxies_to(service: str, region: str | None, endpoint: str | None) -> dict[str, str] | None:
    """Return the SDK's option `proxies` for a service by the way in force. With None, where that leads through no proxy
    at all, the SDK goes by the environment."""
    way = in_force()
    if not way.has_proxies:
        return None
    name = ".".join(filter(None, (service, region, "amazonaws.com")))
    proxy = way.to(URL(endpoint or f"https://{name}"))
    return {} if proxy is None else dict.fromkeys(("http", "https"), proxy.address)


def new_session() -> Any:
    """Return a session of the SDK. All of them share what describes the services: to read that of a load balancer takes
    a tenth of a second of the processor."""
    from aiobotocore.session import get_session

    session = get_session()
    session.register_component("data_loader", _descriptions())
    return session


@cache
def _descriptions() -> Any:
    from aiobotocore.session import get_session

    return get_session().get_component("data_loader")
