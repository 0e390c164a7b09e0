"""HTTP request of a notifier, and whether its answer allows a retry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

from healthd.checks.unreachable import brief
from healthd.http.retry_after import seconds_to_wait
from healthd.notifiers.contract import DeliveryError

_LONGEST_PAUSE = 900.0  # seconds
_LONGEST_COMPLAINT = 200  # characters of the body of a refusal
_FINAL = frozenset({400, 405, 410, 411, 413, 414, 415, 422})  # the same message would be refused again

_UNHEARD = frozenset({502, 504})  # of a proxy, which has not heard what the receiver did
_UNCONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)


async def post(session: aiohttp.ClientSession, url: str, **request: Any) -> None:
    """Deliver, or raise DeliveryError. Of the address, a secret, a message has host and port alone."""
    try:
        async with session.post(url, allow_redirects=False, **request) as response:
            if response.ok and response.status < 300:
                return
            said = await response.content.read(_LONGEST_COMPLAINT)
    except (aiohttp.ClientError, OSError) as error:
        lost = not isinstance(error, _UNCONNECTED)
        raise DeliveryError(f"cannot be reached: {brief(error, url)}", perhaps_taken=lost) from None
    complaint = " ".join(said.decode(errors="replace").split())
    raise DeliveryError(
        f"answered {response.status}{': ' if complaint else ''}{complaint}",
        retry_after=_retry_after(response.headers),
        final=response.status in _FINAL,
        perhaps_taken=response.status in _UNHEARD,
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    wanted = seconds_to_wait(headers)
    return None if wanted is None else min(wanted, _LONGEST_PAUSE)
