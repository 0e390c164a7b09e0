"""Answers for a path or method that does not exist: the allowed methods, and the nearest path."""

from __future__ import annotations

from aiohttp import web

from healthd.nearest import did_you_mean
from healthd.web.problems import Problem


async def no_such_call(request: web.Request) -> web.Response:
    """Return 405 where another method would be answered, else 404."""
    allowed: set[str] = set()
    paths: set[str] = set()
    for resource in request.app.router.resources():
        match, methods = await resource.resolve(request)
        if match is None:
            allowed |= methods
        if "{" not in resource.canonical:
            paths.add(resource.canonical)
    alike = did_you_mean(request.path, paths - {request.path, "/"})
    if allowed:
        said = ", ".join(sorted(allowed))
        detail = f"{request.method} is not answered here; allowed: {said}.{'' if request.path in paths else alike}"
        return Problem(405, "Method not allowed", detail, {"Allow": said}).response()
    return Problem(404, "Not found", f"no such call; /openapi.json describes them all.{alike}").response()
