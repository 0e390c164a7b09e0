"""Every route of the daemon is in a matrix of rights. Those of the API are in `api/test_roles.py`, by their
descriptions; here are the pages, each of them and each button by every role, on what is one's own and on another
team's, by a token and by a person who has signed in."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.web import Response

from healthd.app.daemon import Daemon
from healthd.config.auth_grant import ROLES
from healthd.config.sign_in import SignIn
from healthd.runtime.clock import SystemClock
from healthd.web.auth import hash_token
from healthd.web.pages import silence
from healthd.web.public import incident_page
from healthd.web.sessions import Cookies, Session
from healthd_gates.config.settings import Config
from tests.servers import daemon
from tests.servers.gating import POLICIES
from tests.servers.openid import SECRET
from tests.servers.waiting import until

ANYBODY = {
    *(("GET", path) for path in ("/", "/events", "/docs", "/badges/{name}.svg", "/static/{digest}/{name}")),
    *(("GET", path) for path in ("/status/{name}", "/status/{name}/feed.{form}")),
    *(("GET", path) for path in ("/sign-in", "/sign-in/callback")),
    ("POST", "/sign-out"),
}
READING = {
    ("GET", "/checks/{name}"): "health:read",
    ("GET", "/checks/{name}/silence"): "health:read",
    ("GET", "/incidents/page"): "health:read",
    ("GET", "/gates/{gate_id}/page"): "gates:read",
    ("GET", "/gates/{gate_id}/page/events"): "gates:read",
}
GATE, CHECK, INCIDENTS = "/gates/{gate_id}/page", "/checks/{name}/silence", "/incidents/page"
BUTTONS = {
    **{(GATE, act): "gates:verify" for act in ("pause", "cancel")},
    **{(GATE, act): "gates:rollback" for act in ("approve", "reject", "rollback", "done", "give-up", "resume")},
    **{(CHECK, act): "windows:write" for act in ("acknowledge", "silence-1h", "silence-8h")},
    **{(INCIDENTS, act): "incidents:write" for act in ("open", "update", "reopen", "withdraw")},
}
TEAMS = {"own": "shop", "foreign": "mail"}
BOUND = {"services": ["shop"], "checks": ["shop"]}
SIGN_IN: dict[str, Any] = {
    "issuer": "http://127.0.0.1:1",
    "client_id": "healthd",
    "client_secret": SECRET,
    "session_secret": "0123456789abcdef" * 4,
    "people": [{"name": f"{role}s", "claims": {"groups": role}, "role": role, **BOUND} for role in ROLES],
}
HOME = "http://127.0.0.1:1"
CONFIG: dict[str, Any] = {
    "http": {"external_url": HOME},
    "auth": {
        "trust_loopback": False,
        "tokens": [
            {"name": "all", "hash": hash_token("all"), "role": "admin"},
            *({"name": role, "hash": hash_token(role), "role": role, **BOUND} for role in ROLES),
        ],
        "sign_in": SIGN_IN,
    },
    "checks": {
        **{name: {"kind": "heartbeat", "period": "1h"} for name in TEAMS.values()},
        **{name: {"kind": "process"} for name in ("fine", "dead")},
    },
    "actions": {"back": {"kind": "webhook", "url": "http://127.0.0.1:1/"}},
    "policies": POLICIES,
    "public_pages": {"status": {"components": [{"name": it, "checks": [it]} for it in TEAMS.values()]}},
    "services": {
        name: {"source": {"kind": "push"}, "policy": "endless", "on_fail": ["back"]} for name in TEAMS.values()
    },
}


async def test_no_route_is_without_rights(tmp_path: Path) -> None:
    """What the router of the daemon has is described, and so in the matrix of the API, or is a page of this one."""
    settings = Config.model_validate({**CONFIG, "journal": f"sqlite:///{tmp_path}/journal.db"})
    built = Daemon(settings, None)
    app = built.parts.assemble()
    routed = {(it.method, it.resource.canonical) for it in app.router.routes() if it.resource is not None}
    assert built.parts.rest is not None
    assert built.parts.gates is not None
    await built.parts.rest.notifications.close()
    await built.parts.gates.gates._session.close()
    paths = built.parts.rest.api_docs.document()["paths"]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    pages = ANYBODY | READING.keys() | {("POST", path) for path, _ in BUTTONS}
    routed -= {("HEAD", path) for method, path in routed if method == "GET"} | {("*", "/{rest}")}
    assert routed == described | pages
    assert {it for path, it in BUTTONS if path == CHECK} == silence._ACTS.keys()
    assert {it for path, it in BUTTONS if path == INCIDENTS} == incident_page._FIELDS.keys()
    acts = built.parts.gates._acts._acts
    assert {it: scope for (path, it), scope in BUTTONS.items() if path == GATE} == {it: acts[it][0] for it in acts}


class Stand:
    """A daemon with a check, a service with a gate, and an incident of each team."""

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self.client, self.parts = client, dict[str, dict[str, str]]()

    async def arrange(self) -> None:
        headers = {"Authorization": "Bearer all"}
        for team, name in TEAMS.items():
            asked = {"service": name, "candidate": {"version": "2"}}
            async with self.client.post("/gates/verify", json=asked, headers=headers) as answer:
                gate = await answer.json()
            async with self.client.post(
                "/incidents", json={"title": "x", "components": [name]}, headers=headers
            ) as answer:
                incident = await answer.json()
            self.parts[team] = {"name": name, "gate_id": gate["id"], "incident": incident["id"]}

    async def status(self, method: str, path: str, team: str, caller: dict[str, str], act: str = "") -> int:
        """What is answered to a role, which is known by a token or by the cookie of a session."""
        parts, sent = self.parts[team], {"Sec-Fetch-Site": "same-origin"}
        form = {"act": act, "reason": "x", "sure": "yes"}
        if path == INCIDENTS:
            form = {"act": act, "text": "x", "state": "identified", "component": parts["name"]}
            form |= {"title": "x"} if act == "open" else {"incident": parts["incident"], "sure": "yes"}
        elif path == CHECK:
            form.pop("sure")
        if "cookie" in caller:
            sent["Cookie"] = caller["cookie"]
        elif method == "POST":
            form |= {"token": caller["token"]} if "token" in caller else {}
        elif "token" in caller:
            sent["Authorization"] = f"Bearer {caller['token']}"
        fields = {**parts, "form": "atom", "digest": "0" * 12}
        async with self.client.request(
            method,
            path.format(**fields),
            data=form if method == "POST" else None,
            headers=sent,
            allow_redirects=False,
        ) as answer:
            return answer.status


def callers(role: str) -> Iterator[tuple[str, dict[str, str]]]:
    """A token of this role, and a person who has signed in under it."""
    yield "token", {"token": role}
    settings = SignIn.model_validate(SIGN_IN)
    people = settings.who({"groups": role}, "development")
    assert people is not None
    answer = Response()
    Cookies(settings, HOME, SystemClock()).begin(answer, Session("7", "kim", people.name, people.mark))
    yield "person", {"cookie": answer.cookies.output(attrs=[], header="").strip()}


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with (
        daemon.running({**CONFIG, "journal": f"sqlite:///{tmp_path}/journal.db"}) as healthd,
        aiohttp.ClientSession(healthd.url) as client,
    ):
        made = Stand(client)

        async def is_open() -> bool:
            async with client.get("/incidents", headers={"Authorization": "Bearer all"}) as answer:
                return answer.status == 200 and (await answer.json())["complete"] is True

        await until(is_open, "the journal is open")
        await made.arrange()
        yield made


async def test_every_page_and_button_by_every_role(stand: Stand) -> None:
    """401 or 403 for what the role lacks, and for what is another team's unless it only reads."""
    wrong: dict[str, int] = {}

    def look(what: str, status: int, *, is_let_in: bool) -> None:
        if (status not in (401, 403)) != is_let_in or status == 500:  # 503: the provider is away
            wrong[what] = status

    for role, scopes in ROLES.items():
        for kind, caller in callers(role):
            for team in ("foreign", "own"):
                for (method, path), scope in READING.items():
                    status = await stand.status(method, path, team, caller)
                    name = f"{method} {path} of {team} by a {kind}, {role}"
                    look(name, status, is_let_in=scope in scopes or "admin" in scopes)
                for (path, act), scope in BUTTONS.items():
                    status = await stand.status("POST", path, team, caller, act)
                    may = team == "own" and (scope in scopes or "admin" in scopes)
                    look(f"{act} on {path} of {team} by a {kind}, {role}", status, is_let_in=may)
    for method, path in ANYBODY:
        look(f"{method} {path} by a stranger", await stand.status(method, path, "own", {}), is_let_in=True)
    for method, path in READING:
        look(f"{method} {path} by a stranger", await stand.status(method, path, "own", {}), is_let_in=False)
    for path, act in BUTTONS:
        status = await stand.status("POST", path, "own", {}, act)
        look(f"{act} on {path} by a stranger", status, is_let_in=False)
    assert wrong == {}
