"""Whoever is woken: from the link in the notice to the rollback, on another replica than the one that told."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import encode_basic_auth
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Response

from healthd.config.sign_in import SignIn
from healthd.journal.past import Past
from healthd.journal.windows import WindowStore
from healthd.metrics import Metrics
from healthd.monitoring.schedule import Schedule
from healthd.monitoring.suite import Suite
from healthd.monitoring.windows import Windows
from healthd.runtime.clock import SystemClock
from healthd.runtime.redaction import Redactor
from healthd.web import server
from healthd.web.auth import Guard, hash_token
from healthd.web.checks_api import ChecksApi
from healthd.web.health import HealthEndpoints
from healthd.web.history_api import HistoryApi
from healthd.web.pages.renderer import Renderer
from healthd.web.pages.stream import Streams
from healthd.web.sessions import Cookies, Session
from healthd.web.windows_api import WindowsApi
from healthd_gates.config.settings import Config
from healthd_gates.pages.acts import GateActs
from healthd_gates.pages.gate_history import GateHistories
from healthd_gates.pages.page import GatePage
from healthd_gates.router import GateApi
from tests.fakes.gates import Replica, request, start_replica
from tests.servers.gating import POLICIES
from tests.servers.waiting import until

_TOKENS: list[dict[str, Any]] = [
    {"name": "ada", "role": "operator"},
    {"name": "viewer", "role": "viewer"},
    {"name": "other-team", "role": "operator", "services": ["mail"]},
]
CONFIG = Config.model_validate(
    {
        "auth": {"tokens": [{**token, "hash": hash_token(token["name"])} for token in _TOKENS]},
        "http": {"external_url": "https://healthd.example.com"},
        "checks": {"fine": {"kind": "process"}, "dead": {"kind": "process"}},
        "actions": {"back": {"kind": "webhook", "url": "http://127.0.0.1:1/"}},
        "policies": POLICIES,
        "services": {"api": {"source": {"kind": "push"}, "policy": "endless", "on_fail": ["back"]}},
    }
)
_PEOPLE: list[dict[str, Any]] = [
    {"name": "sre", "claims": {"groups": "sre"}, "role": "operator"},
    {"name": "mail", "claims": {"groups": "mail"}, "role": "operator", "services": ["mail"]},
    {"name": "ci", "claims": {"groups": "deploys"}, "role": "deployer"},
    {"name": "staff", "claims": {"email": "*@example.com"}, "role": "viewer"},
]
SIGN_IN = SignIn.model_validate(
    {
        "issuer": "https://accounts.example.com",
        "client_id": "healthd",
        "session_secret": "0123456789abcdef0123456789abcdef",
        "people": _PEOPLE,
    }
)
SURE = {"reason": "checkout fails", "token": "ada", "sure": "yes"}
READS = {"Authorization": encode_basic_auth("me", "viewer")}
Client = TestClient[Any, Any]


@asynccontextmanager
async def serving(replica: Replica) -> AsyncIterator[Client]:
    """The pages and calls of one replica."""
    clock, guard = SystemClock(), Guard(replica.in_force)
    renderer, streams = Renderer(), Streams(clock)
    api = GateApi(replica.keeper, replica.gates.runs, guard, clock)
    histories = GateHistories(replica.keeper, replica.gates.gate_store, replica.gates.outbox)
    windows = Windows(replica.board, WindowStore(replica.database, clock), clock)
    suite = Suite(
        board=replica.board,
        schedule=Schedule(lambda *_: None),
        clock=clock,
        redact=Redactor(),
        listener=None,  # type: ignore[arg-type]  # no check runs here
        environ={},
    )
    page = GatePage(histories, api.reach, guard, clock, renderer, streams)
    routes = [
        *api.routes(),
        *page.routes(),
        *GateActs(replica.keeper, api.reach, guard, renderer, page.renew).routes(),
        *WindowsApi(windows, replica.board, guard, clock, dict).routes(),
        *HistoryApi(Past(replica.database), replica.board, guard, replica.in_force, clock, Redactor()).routes(),
    ]
    health = HealthEndpoints(replica.board, guard, replica.in_force, clock, stuck=tuple)
    app = server.build(health, ChecksApi(suite, replica.board, guard), Metrics(replica.board, "1", "t"), routes)
    async with TestClient(TestServer(app)) as client:
        yield client
        streams.stop()


@pytest.fixture
async def replicas(tmp_path: Path) -> AsyncIterator[tuple[Replica, Replica]]:
    """Two that share a journal."""
    one = await start_replica(tmp_path / "journal.db", CONFIG, SystemClock())
    two = await start_replica(tmp_path / "journal.db", CONFIG, SystemClock())
    yield one, two
    await one.stop()
    await two.stop()


def signed_in(replica: Replica, group: str) -> dict[str, str]:
    """The cookie of a person in a group, as another replica gave it; how it comes about is proven elsewhere."""
    settings = replica.in_force.now
    settings = settings.model_copy(update={"auth": settings.auth.model_copy(update={"sign_in": SIGN_IN})})
    replica.in_force.replace(settings)
    people = SIGN_IN.who({"groups": group, "email": "kim@example.com"}, settings.environment)
    assert people is not None
    assert settings.http.external_url is not None
    answer = Response()
    session = Session("7", "kim@example.com", people.name, people.mark)
    Cookies(SIGN_IN, settings.http.external_url, SystemClock()).begin(answer, session)
    return {"Cookie": answer.cookies.output(attrs=[], header="").strip()}


async def press(client: Client, gate_id: str, act: str, **changes: str) -> int:
    form = {**SURE, "act": act, **changes}
    sent = {"Sec-Fetch-Site": "same-origin", **READS}
    path = f"/gates/{gate_id}/page"
    async with client.post(path, data=form, headers=sent, allow_redirects=False) as answer:
        assert answer.status != 303 or answer.headers["Location"] == "page"
        return answer.status


async def test_a_night_shift(replicas: tuple[Replica, Replica]) -> None:
    """The notice's link, the page, an acknowledgement, a silence for an hour, a rollback by a button; the audit names
    the person for each."""
    told, other = replicas
    gate = await told.keeper.start(request("api", policy="endless"), caller="ci")
    link = f"{CONFIG.http.external_url}/gates/{gate.id}/page"
    async with serving(other) as client:
        path = link.removeprefix("https://healthd.example.com")
        answer = await client.get(path, headers=READS)
        page = await answer.text()
        assert "form-action 'self'" in answer.headers["Content-Security-Policy"]
        assert re.findall(r'name="act" value="([a-z-]+)"', page) == ["rollback", "cancel"]
        bearer = {"Authorization": "Bearer ada"}
        for window in (
            {"kind": "acknowledgement", "checks": ["dead"], "reason": "on it"},
            {"kind": "silence", "checks": ["dead"], "for": "1h", "reason": "restoring"},
        ):
            assert (await client.post("/windows", json=window, headers=bearer)).status == 201
        assert await press(client, gate.id, "rollback") == 303
        await until(lambda: _rolls_back(told, gate.id), "the other replica sees the rollback")
        page = await (await client.get(path, headers=READS)).text()
        assert re.findall(r'name="act" value="([a-z-]+)"', page) == ["done", "give-up"]
        assert await press(client, gate.id, "rollback") == 303  # twice is once
        audit = (await (await client.get("/audit?caller=ada", headers=bearer)).json())["entries"]
        assert [entry["action"] for entry in audit].count("gate.rollback") == 1
        assert {entry["action"] for entry in audit} == {"gate.rollback", "window.add"}


async def _rolls_back(replica: Replica, gate_id: str) -> bool:
    return (await replica.keeper.get(gate_id)).rollback is not None


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"token": "viewer"}, 403),
        ({"token": "other-team"}, 403),
        ({"token": "nobody"}, 401),
        ({"token": ""}, 401),
        ({"sure": ""}, 400),
        ({"reason": " "}, 400),
        ({"reason": "x" * 501}, 400),
        ({"reason": "typo\n2026-11-01  root  gate.rollback  app"}, 400),
        ({"act": "delete"}, 400),
        ({"act": "approve"}, 409),
        ({"reason": "x" * 9000}, 413),
    ],
)
async def test_what_is_not_done(replicas: tuple[Replica, Replica], changes: dict[str, str], status: int) -> None:
    """Without a token of one's own with the scope, within its bounds, a reason and a second thought; the password for
    reading, which the browser sends by itself, does nothing."""
    gate = await replicas[0].keeper.start(request("api", policy="endless"), caller="ci")
    async with serving(replicas[0]) as client:
        assert await press(client, gate.id, **{"act": "cancel", **changes}) == status
        assert not (await replicas[0].keeper.get(gate.id)).state.is_over
        assert await press(client, "unknown", "cancel") == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Content-Type": "text/plain"},
    ],
)
async def test_other_sites_press_nothing(replicas: tuple[Replica, Replica], headers: dict[str, str]) -> None:
    gate = await replicas[0].keeper.start(request("api", policy="endless"), caller="ci")
    sent = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    async with serving(replicas[0]) as client:
        form = "&".join(f"{name}={value}" for name, value in {**SURE, "act": "cancel"}.items()).replace(" ", "+")
        answer = await client.post(f"/gates/{gate.id}/page", data=form, headers=sent, allow_redirects=False)
        assert answer.status == (415 if "Content-Type" in headers else 403)
        assert not (await replicas[0].keeper.get(gate.id)).state.is_over


async def test_a_person_who_has_signed_in_presses_without_a_token(replicas: tuple[Replica, Replica]) -> None:
    """With the name of the person in the audit, and by a form that asks for no token."""
    gate = await replicas[0].keeper.start(request("api", policy="endless"), caller="ci")
    cookie = signed_in(replicas[1], "sre")
    path = f"/gates/{gate.id}/page"
    async with serving(replicas[1]) as client:
        page = await (await client.get(path, headers=cookie)).text()
        assert ('name="reason"' in page, 'name="token"' in page) == (True, False)
        assert "Signed in as <b>sre/kim@example.com</b>" in page
        page = await (await client.get(path, headers=READS)).text()
        assert ('name="token"' in page, "Signed in as" in page) == (True, False)
        form = {"reason": "checkout fails", "sure": "yes", "act": "rollback"}
        sent = {**cookie, "Sec-Fetch-Site": "same-origin"}
        assert (await client.post(path, data=form, headers=sent, allow_redirects=False)).status == 303
        found = await client.get("/audit?caller=sre/kim@example.com", headers=cookie)
        assert [it["action"] for it in (await found.json())["entries"]] == ["gate.rollback"]


@pytest.mark.parametrize(
    ("group", "buttons", "missing"),
    [
        ("sre", ["rollback", "cancel"], None),
        ("deploys", ["cancel"], "gates:rollback"),
        ("mail", [], "gates:verify and gates:rollback"),
        ("staff", [], "gates:verify and gates:rollback"),
    ],
)
async def test_people_are_shown_the_buttons_that_they_may_press(
    replicas: tuple[Replica, Replica], group: str, buttons: list[str], missing: str | None
) -> None:
    """By their scopes, for the services that they are bound to, each by the same page at once; and it says what is
    missing, so that nobody looks for a button in the night."""
    gate = await replicas[0].keeper.start(request("api", policy="endless"), caller="ci")
    cookie, first = signed_in(replicas[0], group), signed_in(replicas[0], "sre")
    async with serving(replicas[0]) as client:
        path = f"/gates/{gate.id}/page"
        for headers, expected in ((first, ["rollback", "cancel"]), (cookie, buttons), (first, ["rollback", "cancel"])):
            page = await (await client.get(path, headers=headers)).text()
            assert re.findall(r'name="act" value="([a-z-]+)"', page) == expected
            assert ('method="post" action="page"' in page) == bool(expected)
        page = await (await client.get(path, headers=cookie)).text()
        told = re.search(r"your sign-in does not have (.*) for this service", page)
        assert (told and told[1]) == missing
        async with client.get(f"{path}/events", headers=cookie) as events:
            news = (await events.content.readuntil(b"\n\n") + await events.content.readuntil(b"\n\n")).decode()
            assert re.findall(r'name=\\"act\\" value=\\"([a-z-]+)', news) == buttons


@pytest.mark.parametrize(
    ("group", "headers", "status"),
    [
        ("sre", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("sre", {"Sec-Fetch-Site": "same-site"}, 403),
        ("sre", {"Sec-Fetch-Site": "none"}, 403),
        ("sre", {"Origin": "https://evil.example"}, 403),
        ("sre", {"Origin": "null"}, 403),
        ("sre", {}, 403),
        ("sre", {"Sec-Fetch-Site": "same-origin", **READS}, 401),
        ("mail", {"Sec-Fetch-Site": "same-origin"}, 403),
        ("staff", {"Sec-Fetch-Site": "same-origin"}, 403),
        (None, {"Sec-Fetch-Site": "same-origin"}, 401),
        ("sre", {"Sec-Fetch-Site": "same-origin"}, 303),
        ("sre", {"Origin": "https://healthd.example.com"}, 303),
    ],
)
async def test_what_a_session_does_by_itself(
    replicas: tuple[Replica, Replica], group: str | None, headers: dict[str, str], status: int
) -> None:
    """Nothing but what a form of healthd's own asks for, with the scope and within the bounds of the person."""
    gate = await replicas[0].keeper.start(request("api", policy="endless"), caller="ci")
    cookie = signed_in(replicas[0], group or "sre") if group else {}
    signed_in(replicas[0], "sre")
    async with serving(replicas[0]) as client:
        form = {"reason": "checkout fails", "sure": "yes", "act": "cancel"}
        sent = {**cookie, **headers}
        if headers.get("Origin") == "https://healthd.example.com":
            sent["Host"] = "healthd.example.com"
        answer = await client.post(f"/gates/{gate.id}/page", data=form, headers=sent, allow_redirects=False)
        assert answer.status == status
        assert (await replicas[0].keeper.get(gate.id)).state.is_over == (status == 303)
