"""The weights of a real Traefik's services, and who gets the requests."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from healthd_gates.actions.contract import ActionConfig, ActionRequest, Ending
from healthd_gates.domain.action_order import Occasion
from tests.integration.gates.actions.ordering import Hurried, configured, described, order, tried
from tests.integration.gates.actions.test_haproxy import answers
from tests.servers import traefik, version
from tests.servers.ports import free_port
from tests.servers.traefik import Traefik
from tests.servers.waiting import until

FIRST = {"http": {"services": {"web": {"weighted": {"services": [{"name": "blue", "weight": 1}]}}}}}


@pytest.fixture(scope="module")
def balancer() -> Iterator[Traefik]:
    with version.running("1.0") as old, version.running("2.0") as new:
        services: dict[str, Any] = {
            "blue": {"loadBalancer": {"servers": [{"url": old.url}]}},
            "green": {"loadBalancer": {"servers": [{"url": new.url}]}},
            "spare": {
                "loadBalancer": {
                    "servers": [{"url": f"http://127.0.0.1:{free_port()}"}],
                    "healthCheck": {"path": "/", "interval": "100ms"},
                }
            },
        }
        router = {"rule": "PathPrefix(`/`)", "service": "web", "entryPoints": ["traefik"], "priority": 1}
        # Traefik looks after a service once something leads to it.
        routers = {"web": router, "spare": router | {"rule": "PathPrefix(`/spare`)", "service": "spare"}}
        rest = {"http": {"routers": routers, "services": services}}
        with traefik.running({"weights.yml": FIRST, "rest.yml": rest}) as running:
            yield running


def action(balancer: Traefik, **changes: Any) -> ActionConfig:
    options = {
        "file": str(balancer.folder / "weights.yml"),
        "service": "web",
        "services": {"blue": "blue", "green": "green"},
        "apis": [balancer.url],
    }
    return configured(kind="traefik", **options | changes)


def ramp(weight: float) -> ActionRequest:
    return replace(order(occasion=Occasion.RAMP, key="0123:ramp-1:back"), weight=weight)


async def test_the_requests_follow_the_weight(balancer: Traefik) -> None:
    """Up, and back to nothing; the same again changes nothing, and each time the weights were read in Traefik."""
    for weight, fewest, most in ((0.0001, 0, 1), (0.25, 45, 55), (1.0, 200, 200)):
        done = await tried(action(balancer), ramp(weight))
        assert (done.ending, done.seen) == (Ending.DONE, True), done
        found = await answers(f"{balancer.url}/shop")
        assert fewest <= found["2.0"] <= most, (weight, found)
        assert found["1.0"] + found["2.0"] == 200
    file = balancer.folder / "weights.yml"
    for ordered in (order(), order()):
        assert (await tried(action(balancer), ordered)).ending is Ending.DONE
        written, at = file.read_text(), file.stat().st_mtime_ns
    assert await answers(f"{balancer.url}/shop") == {"1.0": 200}
    assert (await tried(action(balancer), order())).ending is Ending.DONE
    assert (file.read_text(), file.stat().st_mtime_ns) == (written, at)
    assert written.startswith("# Written by healthd")


async def test_what_cannot_take_the_traffic_gets_none(balancer: Traefik) -> None:
    await tried(action(balancer), order())
    await until(lambda: "DOWN" in balancer.service("spare@file")["serverStatus"].values(), "the check fails")
    up = await tried(action(balancer, services={"blue": "blue", "green": "spare"}), ramp(0.5))
    assert (up.ending, "no server of spare is up" in up.detail) == (Ending.RETRY, True), up
    back = await tried(action(balancer, services={"blue": "spare", "green": "green"}), order())
    assert back.ending is Ending.NO_BASELINE, back
    assert await answers(f"{balancer.url}/shop", 20) == {"1.0": 20}


async def test_what_goes_back_does_not_wait_for_a_traefik_that_is_gone(balancer: Traefik) -> None:
    """The one that lives takes it at once, and the gone one is tried again; nothing goes forward meanwhile."""
    assert (await tried(action(balancer), ramp(1.0))).ending is Ending.DONE
    some_gone = action(balancer, apis=[f"http://127.0.0.1:{free_port()}", balancer.url])
    back = await tried(some_gone, order())
    assert (back.ending, "refused the connection" in back.detail) == (Ending.RETRY, True), back
    assert await answers(f"{balancer.url}/shop", 20) == {"1.0": 20}
    assert (await tried(some_gone, ramp(1.0))).ending is Ending.RETRY
    assert await answers(f"{balancer.url}/shop", 20) == {"1.0": 20}


async def test_a_traefik_that_says_nothing_is_not_waited_for_as_long_as_the_action_has(
    balancer: Traefik, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def says_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    monkeypatch.setattr("healthd_gates.actions.traefik_service._ANSWERS_WITHIN", 0.1)
    async with await asyncio.start_server(says_nothing, "127.0.0.1", free_port()) as server:
        silent = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        wider = await tried(action(balancer, apis=[silent]), ramp(1.0))
    assert (wider.ending, "no answer of" in wider.detail) == (Ending.RETRY, True), wider


@pytest.mark.usefixtures("hung_resolver")
async def test_a_name_that_is_not_resolved_in_time_is_told(balancer: Traefik, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than that Traefik, which nobody has called, did not answer."""
    monkeypatch.setattr("healthd_gates.actions.traefik_service._ANSWERS_WITHIN", 0.1)
    wider = await tried(action(balancer, apis=["http://hung.example:8080"]), ramp(1.0))
    assert wider.ending is Ending.RETRY
    assert "the name hung.example was not resolved within 0." in wider.detail


async def test_mistakes_are_told_with_their_cure(balancer: Traefik, tmp_path: Path) -> None:
    """A service that is not there, an address that is not the API, a folder that nobody watches, a file of others."""
    nameless = await tried(action(balancer, services={"blue": "blue", "green": "gren"}), ramp(0.5))
    assert (nameless.ending, "no service gren@file" in nameless.detail) == (Ending.REFUSED, True), nameless
    elsewhere = await tried(action(balancer, apis=[f"{balancer.url}/nothing"]), ramp(0.5))
    assert (elsewhere.ending, "Traefik" in elsewhere.detail) == (Ending.RETRY, True), elsewhere
    nobody = await tried(action(balancer, apis=[f"http://127.0.0.1:{free_port()}"]), ramp(0.5))
    assert (nobody.ending, "refused the connection" in nobody.detail) == (Ending.RETRY, True), nobody
    unwatched = action(balancer, file=str(tmp_path / "weights.yml"))
    lost = await tried(unwatched, ramp(0.3), clock=Hurried())
    assert (lost.ending, f"watches {tmp_path}" in lost.detail) == (Ending.RETRY, True), lost
    before = (balancer.folder / "rest.yml").read_text()
    others = await tried(action(balancer, file=str(balancer.folder / "rest.yml")), ramp(0.5))
    assert (others.ending, "holds routers too: give the action a file" in others.detail) == (Ending.REFUSED, True)
    assert (balancer.folder / "rest.yml").read_text() == before
    said = await described(action(balancer), ramp(0.25))
    assert said.startswith("would set 75 % for blue, 25 % for green in web, by ")
    assert "no YAML" in await described(action(balancer, file=str(_written(tmp_path / "x.yml", "a: {{"))), ramp(0.25))
    missing = action(balancer, file="/nowhere/at/all.yml")
    assert missing.problem_here({}) == "/nowhere/at, the folder that Traefik is to watch, is not there"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"services": {"blue": "web", "green": "web"}}, "both have web"),
        ({"file": "weights.yml"}, "must be an absolute path"),
        ({"file": "/etc/traefik/weights.toml"}, "ends with .yml or .yaml"),
        ({"apis": ["127.0.0.1:8080"]}, "apis.0"),
        ({"service": "web@file"}, "service\n"),
    ],
)
def test_what_no_traefik_has_is_refused(balancer: Traefik, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        action(balancer, **changes)


async def test_what_else_is_said_of_the_service_stays(balancer: Traefik) -> None:
    file = balancer.folder / "weights.yml"
    sticky = {"services": [{"name": "blue", "weight": 1}], "sticky": {"cookie": {"name": "lvl1"}}}
    _written(file, json.dumps({"http": {"services": {"web": {"weighted": sticky}}}}))
    assert (await tried(action(balancer), ramp(0.5))).ending is Ending.DONE
    assert balancer.service("web@file")["weighted"]["sticky"]["cookie"]["name"] == "lvl1"
    _written(file, json.dumps(FIRST))


def _written(file: Path, text: str) -> Path:
    file.write_text(text)
    return file
