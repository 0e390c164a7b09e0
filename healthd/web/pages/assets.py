"""Style sheets, scripts and icons: served from memory under addresses that contain a hash of their content."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from aiohttp import web

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file. `digest` changes with its content."""

    body: bytes
    type: str
    digest: str


class Assets:
    """All files of some folders, read once."""

    def __init__(self) -> None:
        self._files: dict[str, Asset] = {}

    def add(self, folder: Path) -> None:
        """Serve the files of a folder as well."""
        self._files |= {file.name: _read(file) for file in folder.iterdir() if file.suffix in _TYPES}

    def url(self, name: str) -> str:
        """Return the address of a file. Raises KeyError."""
        return f"/static/{self._files[name].digest}/{name}"

    def routes(self) -> list[web.RouteDef]:
        return [web.get(r"/static/{digest:[0-9a-f]{12}}/{name:[a-z-]+\.[a-z]+}", self._serve)]

    async def _serve(self, request: web.Request) -> web.Response:
        """Serve the file, to be cached for ever. In a rolling update the page may come from another release: then this
        release's file is served, and not cached."""
        asset = self._files.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        same = asset.digest == request.match_info["digest"]
        headers = {"Cache-Control": _FOR_EVER if same else "no-store", "X-Content-Type-Options": "nosniff"}
        response = web.Response(body=asset.body, content_type=asset.type, charset="utf-8", headers=headers)
        response.enable_compression()
        return response


def _read(file: Path) -> Asset:
    body = file.read_bytes()
    return Asset(body, _TYPES[file.suffix], sha256(body).hexdigest()[:12])
