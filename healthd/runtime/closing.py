"""Closing of one part of the daemon after another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

_log = structlog.get_logger(__name__)


async def close_part(name: str, close: Callable[[], Awaitable[None]], *, raises: type[Exception] | None = None) -> None:
    """Close a part of the daemon. An error is logged, so that the next part is closed too, but for one that it
    `raises` as its caller knows."""
    try:
        await close()
    except Exception as error:
        if raises is not None and isinstance(error, raises):
            raise
        _log.exception("part not closed properly", part=name)
