"""The description of the API: it names every route that there is, says what is answered, and is shown to people."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate

from healthd.app.daemon import Daemon
from healthd.model import FailureKind, Result, Status
from healthd_gates.config.settings import Config
from tests.unit.healthd.web.conftest import Open, bearer

PAGES = {
    "/",
    "/badges/{name}.svg",
    "/checks/{name}",
    "/checks/{name}/silence",
    "/docs",
    "/events",
    "/gates/{gate_id}/page",
    "/gates/{gate_id}/page/events",
    "/incidents/page",
    "/sign-in",
    "/sign-in/callback",
    "/sign-out",
    "/static/{digest}/{name}",
    "/status/{name}",
    "/status/{name}/feed.{form}",
}
"""For people. They are no API, and `docs/pages.md` tells of them."""


@pytest.mark.parametrize("enabled", [True, False], ids=["gates", "no gates"])
async def test_the_description_names_every_route(enabled: bool, tmp_path: Path) -> None:
    """And none that there is not."""
    config = {"journal": f"sqlite:///{tmp_path}/j.db", "gates": {"enabled": enabled}}
    daemon = Daemon(Config.model_validate(config), None)
    app = daemon.parts.assemble()
    routes = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method not in ("HEAD", "*")
    }
    assert daemon.parts.rest is not None
    await daemon.parts.rest.notifications.close()
    if daemon.parts.gates is not None:
        await daemon.parts.gates.gates._session.close()
    document = daemon.parts.rest.api_docs.document()
    validate(document)
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(method, path) for method, path in routes if method == "OPTIONS" or path not in PAGES}


@pytest.mark.parametrize("token", ["reader", None])
@pytest.mark.parametrize("accept", ["application/json", "application/health+json"])
async def test_health_is_answered_as_described(open_site: Open, token: str | None, accept: str) -> None:
    """By its schema, to whoever asks, while something is down, in maintenance, or has not been probed."""
    window = {"checks": ["mail"], "from": "2001-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z", "reason": "x"}
    site, client = await open_site(maintenance=[window])
    headers = {"Accept": accept, **(bearer(token) if token else {})}
    document = site.api_docs.document()
    for result in (None, Result(Status.HEALTHY, latency=0.1), Result(Status.UNHEALTHY, FailureKind.TLS, message="no")):
        if result is not None:
            site.put("db", result)
        for path in ("/health", "/health/live", "/health/ready", "/health/startup", "/health/own"):
            described = path if path != "/health/own" else "/health/{group}"
            answer = await client.get(path, headers=headers)
            assert answer.content_type == accept
            await fits(document, described, "get", answer, accept)


async def test_calls_of_checks_are_answered_as_described(open_site: Open) -> None:
    """A check that is run, one that reports in, and ones that there are not."""
    site, client = await open_site()
    document = site.api_docs.document()
    for kind, name in (("root", "mail"), ("root", "nothing"), ("reader", "mail")):
        answer = await client.post(f"/checks/{name}/run", headers=bearer(kind))
        await fits(document, "/checks/{name}/run", "post", answer, answer.content_type)
        answer = await client.post(f"/heartbeats/{'backup' if name == 'mail' else name}", headers=bearer(kind))
        await fits(document, "/heartbeats/{name}", "post", answer, answer.content_type)
    metrics = await client.get("/metrics?name[]=healthd_build_info")
    assert metrics.content_type in document["paths"]["/metrics"]["get"]["responses"]["200"]["content"]
    assert "healthd_check_status" not in await metrics.text()


async def fits(document: dict[str, Any], path: str, method: str, answer: Any, media_type: str) -> None:
    described = document["paths"][path][method]["responses"][str(answer.status)]
    assert set(described.get("headers", {})) <= set(answer.headers)
    schema = {**described["content"][media_type]["schema"], "components": document["components"]}
    jsonschema.validate(await answer.json(content_type=None), schema)


async def test_people_see_every_call(open_site: Open) -> None:
    """In one page that fetches nothing from elsewhere, without a script, and the same for everybody."""
    site, client = await open_site()
    answer = await client.get("/docs")
    page = await answer.text()
    assert (answer.status, answer.content_type) == (200, "text/html")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    document = site.api_docs.document()
    calls = [call["operationId"] for methods in document["paths"].values() for call in methods.values()]
    anchors = re.findall(r' id="([^"]+)"', page)
    assert {*calls, *(f"schema-{name}" for name in document["components"]["schemas"])} <= set(anchors)
    assert len(anchors) == len(set(anchors))
    assert {link[1:] for link in re.findall(r'href="(#[^"]+)"', page)} <= set(anchors)
    fetched = re.findall(r'<(?:link|script|img)[^>]+(?:href|src)="([^"]+)"', page)
    assert fetched
    assert all(address.startswith("/static/") for address in fetched)
    assert not re.search(r"<script|style=|//[a-z]|`", page)
    assert "<code>degraded</code>: an unhealthy dependency" in page
    plain = await client.get("/docs", headers={"Accept-Encoding": "identity", **bearer("root")})
    assert await plain.text() == page


async def test_what_is_no_call_is_a_problem(open_site: Open) -> None:
    """404, or 405 with the methods that there are."""
    _site, client = await open_site()
    for method, path, status in (("GET", "/nothing", 404), ("POST", "/health", 405), ("GET", "/checks/db/run", 405)):
        answer = await client.request(method, path)
        assert (answer.status, answer.content_type) == (status, "application/problem+json")
        assert ("Allow" in answer.headers) == (status == 405)
