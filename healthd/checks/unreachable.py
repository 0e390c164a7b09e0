"""Why a call over HTTP came to no answer, in words for people."""

from __future__ import annotations

import aiohttp

from healthd.checks.connect import Endpoint, explain


def why_unreached(error: Exception, endpoint: Endpoint) -> str:
    """Without the address, which aiohttp likes to quote whole."""
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return f"TLS with {endpoint} failed: {error.__cause__ or type(error).__name__}"
        case aiohttp.ClientConnectorError():
            return explain(error.os_error, endpoint)[1]
        case aiohttp.ServerDisconnectedError():
            return f"{endpoint} closed the connection"
        case OSError():
            return explain(error, endpoint)[1]
    return f"{endpoint} does not speak HTTP: {type(error).__name__}"
