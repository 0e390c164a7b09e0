"""Documents as HTTP answers."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web
from pydantic import BaseModel


def answer(document: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a document as JSON that must not be cached."""
    return web.Response(
        status=status,
        body=document.model_dump_json(by_alias=True).encode(),
        content_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )
