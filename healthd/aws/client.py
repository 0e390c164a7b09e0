"""Clients of AWS's services. The SDK is imported when the first one is made."""

from __future__ import annotations

from typing import Any


def new_client(
    service: str,
    *,
    region: str | None,
    endpoint: str | None,
    timeout: float,
    attempts: int = 1,
    retries: str = "legacy",
    **more: Any,
) -> Any:
    """Return an asynchronous context manager that gives the client of a service such as `elbv2`.

    `timeout` is in seconds, for connecting and for each read; `retries` is the SDK's retry mode, for more than one
    attempt.
    """
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    limits = AioConfig(
        connect_timeout=timeout,
        read_timeout=timeout,
        retries={"mode": retries, "total_max_attempts": attempts},
        # Reading the SDK's description of a service takes long enough to block the event loop: this does it in a
        # thread.
        warm_up_loader_caches=True,
    )
    return get_session().create_client(service, region_name=region, endpoint_url=endpoint, config=limits, **more)
