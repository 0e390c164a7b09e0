"""A gate's page from its first moment to its last, on a real ledger."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
from aiohttp.test_utils import make_mocked_request

from healthd.config.in_force import InForce
from healthd.config.settings import Settings
from healthd.web.auth import Guard, hash_token
from healthd.web.pages.deploys import UnknownDeploysError
from healthd.web.pages.parts import Parts
from healthd.web.pages.renderer import Renderer
from healthd.web.pages.stream import Streams
from healthd.web.problems import Problem
from healthd_gates.actions.contract import ActionResult, Ending
from healthd_gates.api.reach import ServicesInReach
from healthd_gates.domain.action_order import OrderState
from healthd_gates.domain.evidence import Counts, Histogram
from healthd_gates.domain.gate import GateState, RollbackState
from healthd_gates.domain.request import Deployment
from healthd_gates.domain.standing import Verdict
from healthd_gates.pages.gate_history import GateHistories
from healthd_gates.pages.page import GatePage
from healthd_gates.pages.recent import RecentGates
from healthd_gates.schema.action import ActionDocument
from healthd_gates.schema.gate import GateDocument
from tests.fakes.gates import (
    Note,
    Replica,
    Script,
    broken,
    config,
    healthy,
    later,
    replica,
    request,
    silent,
)
from tests.fakes.monitoring import LoopClock

EVERYTHING = ServicesInReach(AsyncMock(), dict, lambda _: {})
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"' {{ 7*7 }}"


class Viewer:
    """Somebody who looks at pages of a replica's gates."""

    def __init__(self, running: Replica, clock: LoopClock) -> None:
        tokens = [{"name": "reader", "hash": hash_token("t"), "scopes": ["gates:read"]}]
        guard = Guard(InForce(Settings.model_validate({"auth": {"tokens": tokens}})))
        gate_histories = GateHistories(running.keeper, running.gates.gate_store, running.gates.outbox)
        renderer = Renderer()
        self.page = GatePage(gate_histories, EVERYTHING, guard, clock, renderer, Streams(clock))
        renderer._environment = renderer._load()  # not in a thread: virtual time does not wait for it

    async def look(self, gate_id: str) -> str:
        """The whole page, as text of HTML."""
        asked = make_mocked_request(
            "GET", f"/gates/{gate_id}/page", {"Authorization": "Bearer t"}, match_info={"gate_id": gate_id}
        )
        response = await self.page._showing(self.page._page)(asked)
        assert response.status == 200, response.text
        assert isinstance(response.text, str)
        return response.text

    async def parts(self, gate_id: str) -> Parts:
        return await self.page._refresh(gate_id, None)


@asynccontextmanager
async def looking(file: Path, **changes: Any) -> AsyncIterator[tuple[Replica, Viewer]]:
    async with replica(file, config(**changes)) as running:
        yield running, Viewer(running, LoopClock())


def has(html: str, *words: str) -> bool:
    """Whether these words stand there in this order, tags left out."""
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))
    return re.search(".*?".join(map(re.escape, words)), text) is not None


async def test_from_settling_to_rollback(file: Path) -> None:
    """Each stage is said in words; the interval, the limit, what is missing and the rollback's steps are there."""
    Script.act = later(60, healthy, broken)
    async with looking(file) as (running, viewer):
        gate = await running.keeper.start(request(deployment=Deployment(actor="kim")), caller="ci")
        assert has(await viewer.look(gate.id), "api 2.0", "Settling", "A verdict")
        await asyncio.sleep(50)
        html = await viewer.look(gate.id)
        assert has(html, "Observing", "A verdict", "at the latest", "Asked", "by kim", "Verdict", "Watch or roll back")
        assert has(
            html, "Evidence of harm: none", "error_rate", "limit", "5 %", "requests seen", "still needed", "about"
        )
        assert 'class="truth" d="M' in html
        assert 'class="settling"' in html
        mark = (await viewer.parts(gate.id)).mark
        await asyncio.sleep(60)
        html = await viewer.look(gate.id)
        assert has(
            html, "Failed, rolling back", "The candidate is proven harmful", "Verdict: fail", "Roll back", "under way"
        )
        assert has(html, "Evidence of harm: proof", "A healthy release looks this bad less than once in")
        assert has(html, "Rollback", "Called for by the verdict", "back on fail", "being tried", "ci for kim")
        assert has(html, "What happened", "verdict fail", "observing", "ci asks about api 2.0, policy quick")
        changed = (await viewer.parts(gate.id)).since(mark)["html"]
        assert {"title", "icon", "headline", "timeline", "evidence", "orders", "log"} <= changed.keys()
        assert "about" not in changed


async def test_a_receiver_that_is_down_for_long_is_told_truly_all_along(file: Path) -> None:
    """At any time: what is due, how often it was tried, what went wrong, when it goes on; that nothing is back."""
    Script.act = broken
    loop = asyncio.get_running_loop()
    up_at = loop.time() + 720
    down = ActionResult(Ending.RETRY, "deploy.test answered 500")
    Note.act = lambda _order: ActionResult(Ending.DONE, "switched") if loop.time() >= up_at else down
    actions = {name: {"kind": "note"} for name in ("back", "tell")}
    changes = {"actions": actions, "service": {"on_fail": ["back", "tell"]}, "gates": {"lease_duration": "60s"}}
    async with looking(file, **changes) as (running, viewer):
        gate = await running.keeper.start(request(), caller="ci")
        while not Note.tried:
            await asyncio.sleep(1)
        called_for = loop.time()
        for _ in range(9):
            await asyncio.sleep(59.5)
            stands = GateDocument.of(await running.keeper.get(gate.id))
            back, tell = map(ActionDocument.of, await running.keeper.orders(gate.id))
            assert stands.rollback is not None
            assert (stands.state, stands.may_stay, stands.rollback.state) == ("acting", False, "due")
            assert (back.state, back.detail) == ("due", down.detail)
            assert len(Note.tried) - 1 <= back.tries <= len(Note.tried)
            assert back.next_try_at is not None
            assert -60 <= (back.next_try_at - running.gates.gate_store._clock.now()).total_seconds() <= 60
            assert (tell.state, tell.tries) == ("due", 0)
            told = stands.rollback.detail or ""
            said = rf"back was tried (\d+) times and is not done yet: {down.detail}; not done: tell"
            heard = re.fullmatch(said, told)
            assert heard is not None
            assert back.tries - 2 <= int(heard[1]) <= back.tries  # the gate hears of a try a moment later
            waits = running.registry.get_sample_value("healthd_action_queue_oldest_age_seconds")
            assert waits == pytest.approx(loop.time() - called_for, abs=60)
            html = await viewer.look(gate.id)
            assert has(html, "Failed, not rolled back yet", "The candidate may still have the traffic", down.detail)
            assert has(html, "Roll back", "not done yet", "back on fail", "not done yet", down.detail)
            assert has(html, "; next try", "tell on fail", "waits for back")
            assert "being tried" not in html
        await asyncio.sleep(900)
        assert (await running.keeper.get(gate.id)).state is GateState.FINISHED
        html = await viewer.look(gate.id)
        assert has(html, "rollback not confirmed", "A person must look where the traffic is", "switched")
        assert running.registry.get_sample_value("healthd_action_queue_oldest_age_seconds") == 0


async def test_every_end_of_a_rollback_has_words(file: Path) -> None:
    """None of them is called by its name in the code, and what wants a person does not look done."""
    Script.act = broken
    async with looking(file) as (running, viewer):
        gate = await running.keeper.start(request(), caller="ci")
        await asyncio.sleep(60)
        film = await viewer.page._gate_histories.of(gate.id)
        rollback = film.gate.rollback
        assert rollback is not None
        await viewer.page._renderer.ready()
        for state in RollbackState:
            film.gate = replace(film.gate, rollback=replace(rollback, state=state, detail=HOSTILE))
            for order_state in OrderState:
                film.orders = [replace(order, state=order_state) for order in film.orders]
                html = {name: part.draw() for name, part in viewer.page._whole(film, None).items()}
                assert "rollback_" not in "".join(html.values())
                assert "&lt;script&gt;" in html["orders"]
            assert ("roll back again" in html["act"]) == state.wants_a_person


async def test_watching(file: Path) -> None:
    """After a pass the watch is shown with its end, and a watch that sees nothing is not green."""
    Script.act = later(400, healthy, silent)
    policy = {"watch": "1h"}
    async with looking(file, policy=policy) as (running, viewer):
        gate = await running.keeper.start(request(), caller="ci")
        await asyncio.sleep(300)
        html = await viewer.look(gate.id)
        assert has(html, "Passed, watched", "The watch ends", "Verdict: pass", "Watch", "a late regression rolls back")
        assert '<text class="decided"' in html
        await asyncio.sleep(400)
        html = await viewer.look(gate.id)
        assert has(html, "Passed, the watch sees nothing", "no traffic")
        assert 'class="headline degraded"' in html


async def test_a_person_decides(file: Path) -> None:
    """A held gate says how to decide it, and afterwards who did and why."""
    Script.act = silent
    async with looking(file, policy={"inconclusive": "hold"}) as (running, viewer):
        gate = await running.keeper.start(request(), caller="ci")
        await asyncio.sleep(400)
        held = await viewer.look(gate.id)
        assert has(held, "A person decides", "It fails unless a person decides", f"healthd gate approve {gate.id}")
        await running.keeper.interventions.decide(
            gate.id, Verdict.PASS, caller="kim", reason="known outage of the logs"
        )
        await asyncio.sleep(5)
        assert has(await viewer.look(gate.id), "Passed", "known outage of the logs", "Verdict: pass", "by kim")


async def test_cancelled(file: Path) -> None:
    """It is neither green nor red, and says who ended it."""
    async with looking(file) as (running, viewer):
        gate = await running.keeper.start(request(), caller="ci")
        await running.keeper.interventions.cancel(gate.id, caller="kim", reason="wrong build")
        html = await viewer.look(gate.id)
        assert has(html, "Cancelled", "cancelled (by kim; why wrong build)")
        assert 'class="headline unknown"' in html


async def test_failed_and_not_rolled_back(file: Path) -> None:
    """That nothing was done about a failed deploy is in the headline."""
    Script.act = broken
    async with looking(file, service={"on_fail": []}) as (running, viewer):
        gate = await running.keeper.start(request(), caller="ci")
        await asyncio.sleep(100)
        assert has(await viewer.look(gate.id), "Failed, not rolled back", "no rollback action is configured")


async def test_what_is_hostile_is_text(file: Path) -> None:
    """Markup in what callers and sources say comes out as the characters that it is; no link leads into a script."""
    async with looking(file) as (running, viewer):
        deployment = Deployment(id=HOSTILE, url="javascript:alert(1)", actor=HOSTILE)
        gate = await running.keeper.start(request(deployment=deployment), caller=HOSTILE)
        await running.keeper.interventions.cancel(gate.id, caller=HOSTILE, reason=HOSTILE)
        html = await viewer.look(gate.id)
        assert html.count("<script") == 1
        assert "<img" not in html
        assert "&lt;script&gt;alert(1)" in html
        assert 'href="javascript:' not in html
        assert "49" not in re.sub(r"[0-9a-f]{12,}", "", html[html.index('id="about"') :])


def one_route_dies(_seconds: float) -> Counts:
    """Within the limit in all; one of twelve routes is not."""
    routes = {f"/{n}": (100.0, 1.0) for n in range(11)} | {HOSTILE: (60.0, 30.0)}
    return Counts(1160, 41, strata=routes)


async def test_the_route_that_fails_is_in_the_page_and_the_document(file: Path) -> None:
    """Its sentence, its numbers and its finding; the document has the same, and the others beside it."""
    Script.act = one_route_dies
    criteria = [{"kind": "error_rate", "by": "route"}]
    async with looking(file, policy={"criteria": criteria}) as (running, viewer):
        gate = await running.keeper.start(request(), caller="ci")
        await asyncio.sleep(110)
        html = await viewer.look(gate.id)
        assert "<img" not in html
        assert has(html, "above the limit on route &lt;script&gt;", "50 % (", "limit 5 %")
        assert has(html, "By route: the 10 of 12 with the most evidence of harm", "finding", "likely between", "&lt;")
        found = GateDocument.of(await running.keeper.get(gate.id)).model_dump(mode="json")["standing"]["criteria"][0]
        assert (found["by"], found["strata_seen"], len(found["strata"])) == ("route", 12, 10)
        first = found["strata"][0]
        assert (first["name"], first["finding"], first["bad"] / first["requests"]) == (HOSTILE, "harm", 0.5)
        assert first["interval"][0] > 0.05
        assert [each["finding"] for each in found["strata"][1:]].count("harm") == 0


def one_route_hangs(_seconds: float) -> Counts:
    """Four of a hundred requests, which the p95 of all of them does not see."""
    fast, slow = Histogram((0.1, 1.0, inf), (600.0, 0.0, 0.0)), Histogram((0.1, 1.0, inf), (0.0, 0.0, 25.0))
    routes = {"/a": fast, "/export": slow}
    return Counts(625, 0, Histogram.together((fast, slow)), {"/a": (600, 0), "/export": (25, 0)}, routes)


async def test_the_route_that_hangs_is_in_the_page_and_the_document(file: Path) -> None:
    Script.act = one_route_hangs
    criteria = [{"kind": "latency", "limit": "1s", "by": "route"}]
    async with looking(file, policy={"criteria": criteria}) as (running, viewer):
        gate = await running.keeper.start(request(), caller="ci")
        await asyncio.sleep(110)
        html = await viewer.look(gate.id)
        assert has(html, "above the limit on route /export: about 1 s over", "By route: all 2", "latency", "limit 1 s")
        found = GateDocument.of(await running.keeper.get(gate.id)).model_dump(mode="json")["standing"]["criteria"][0]
        first, second = found["strata"]
        assert (first["name"], first["finding"], first["observed"], first["bad"]) == (
            "/export", "harm", 1.0, first["requests"],
        )  # fmt: skip
        assert (second["name"], second["observed"], second["bad"]) == ("/a", pytest.approx(0.095), 0)


async def test_who_may_look(file: Path) -> None:
    """Without a token a browser is asked for one; a gate that is not there is said so, on a page."""
    async with looking(file) as (running, viewer):
        gate = await running.keeper.start(request(), caller="ci")
        for headers, gate_id, status, said in (
            ({}, gate.id, 401, "sign in with a token as the password"),
            ({"Authorization": "Bearer x"}, gate.id, 401, "this token is not known"),
            ({"Authorization": "Bearer t"}, "nope", 404, "There is no gate nope."),
        ):
            asked = make_mocked_request("GET", "/", headers, match_info={"gate_id": gate_id})
            response = await viewer.page._showing(viewer.page._page)(asked)
            assert (response.status, response.content_type) == (status, "text/html")
            assert said in str(response.text)
            assert response.headers.get("WWW-Authenticate", "").startswith("Basic") == (status == 401)
            with pytest.raises(Problem):
                viewer.page._guard.challenge(make_mocked_request("GET", "/", {}), "gates:read")


async def test_looks_are_read_once(file: Path) -> None:
    """A long gate is not read again for every viewer, and its picture stays small."""
    Script.act = later(1e9, lambda _: Counts(50, 1), healthy)
    policy = {"observe": {"min": "30m", "max": "1h"}}
    async with looking(file, policy=policy) as (running, viewer):
        gate = await running.keeper.start(request(), caller="ci")
        await asyncio.sleep(1000)
        html = await viewer.look(gate.id)
        assert len(html) < 40_000
        film = await viewer.page._gate_histories.of(gate.id)
        assert len(film.looks["error_rate"]) > 150
        seen = film.seen
        await asyncio.sleep(10)
        again = await viewer.page._gate_histories.of(gate.id)
        assert again is film
        assert seen < again.seen < seen + 5


async def test_latest_gates(file: Path) -> None:
    """The status page is told of gates under way first; without a journal, why it is told nothing."""
    async with looking(file) as (running, _viewer):
        latest = RecentGates(running.keeper)
        assert await latest.latest() == []
        Script.act = broken
        failed = await running.keeper.start(request(), caller="ci")
        await asyncio.sleep(100)
        Script.act = healthy
        await running.keeper.start(request("web"), caller="ci")
        deploys = await latest.latest()
        assert (deploys[0].name, deploys[0].word) == ("web", "Settling")
        assert deploys[1].address == f"/gates/{failed.id}/page"
        assert (await running.keeper.get(failed.id)).state is GateState.ACTING
        await running.database.close()
        with pytest.raises(UnknownDeploysError, match=r"^The journal cannot be read now: "):
            await latest.latest()


async def test_a_journal_that_is_away_is_told_on_the_page(file: Path) -> None:
    """The page stays, as it was seen last; one of a gate that nobody has seen says why it cannot be shown."""
    Script.act = healthy
    async with looking(file) as (running, viewer):
        viewer.page.outage = lambda: running.database.outage
        gate = await running.keeper.start(request(), caller="ci")
        await asyncio.sleep(50)
        assert not has(await viewer.look(gate.id), "The journal is away")
        file.rename(file.with_suffix(".away"))
        await asyncio.sleep(10)
        html = await viewer.look(gate.id)
        assert has(html, "Observing", "The journal is away since", "nothing is decided or rolled back")
        assert has(html, "What happened", "ci asks about api 2.0")
        file.with_suffix(".away").rename(file)
        await running.database.open()
        await asyncio.sleep(10)
        assert not has(await viewer.look(gate.id), "The journal is away")
