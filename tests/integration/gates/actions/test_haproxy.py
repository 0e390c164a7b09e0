"""The weights of a real HAProxy's servers, and who gets the requests."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import ValidationError

from healthd_gates.actions.contract import ActionConfig, ActionRequest, Departed, Ending
from healthd_gates.actions.haproxy_backend import Weights, weights_of
from healthd_gates.domain.action_order import Occasion
from tests.integration.gates.actions.ordering import configured, described, lost, order, tried
from tests.servers import haproxy, version
from tests.servers.haproxy import HAProxy

BACKEND = "default_backend web\nbackend web\n balance roundrobin\n option http-server-close\n"


@pytest.fixture(scope="module")
def balancer() -> Iterator[HAProxy]:
    with version.running("1.0") as old, version.running("2.0") as new:
        servers = f" server b1 127.0.0.1:{old.port} weight 100\n server g1 127.0.0.1:{new.port} weight 0\n"
        with haproxy.running(BACKEND + servers + " server spare 127.0.0.1:1 disabled\n") as running:
            yield running


def action(balancer: HAProxy, **changes: Any) -> ActionConfig:
    servers = {"blue": ["b1"], "green": ["g1"]}
    return configured(
        kind="haproxy", **{"sockets": [str(balancer.stats)], "backend": "web", "servers": servers} | changes
    )


def ramp(weight: float) -> ActionRequest:
    return replace(order(occasion=Occasion.RAMP, key="0123:ramp-1:back"), weight=weight)


async def answers(url: str, number: int = 200) -> Counter[str]:
    found: Counter[str] = Counter()
    async with aiohttp.ClientSession() as session:
        for _ in range(number):
            async with session.get(url) as response:
                found[await response.text()] += 1
    return found


async def test_the_requests_follow_the_weight(balancer: HAProxy) -> None:
    """Up, and back to nothing; the same again changes nothing, and each time the weights were read."""
    for weight, fewest, most in ((0.01, 0, 10), (0.25, 40, 52), (1.0, 200, 200)):
        done = await tried(action(balancer), ramp(weight))
        assert (done.ending, done.seen) == (Ending.DONE, True), done
        found = await answers(balancer.url)
        assert fewest <= found["2.0"] <= most, (weight, found)
        assert found["1.0"] + found["2.0"] == 200
    for ordered in (order(), order()):
        assert (await tried(action(balancer), ordered)).ending is Ending.DONE
    assert await answers(balancer.url) == {"1.0": 200}


async def test_weights_that_are_gone_are_seen(balancer: HAProxy, tmp_path: Path) -> None:
    """What a new process of HAProxy has lost is told from what somebody has set; one that does not answer says
    nothing."""
    both = action(balancer, sockets=[f"{balancer.stats}-not", str(balancer.stats)])
    assert (await tried(action(balancer), ramp(0.25))).ending is Ending.DONE
    assert await lost(both, ramp(0.25), 3600.0) is None
    balancer.command("set server web/g1 weight 7")
    told = await lost(both, ramp(0.25), 0.0)
    assert told == Departed(f"HAProxy at {balancer.stats} gives g1 the weight 7 and not 1", is_forgotten=False)
    balancer.reload()
    assert (told := await lost(both, ramp(0.25), 3600.0)) is not None
    assert told.is_forgotten
    assert f"{balancer.stats} gives g1 the weight 0 and not 1, b1 the weight 100 and not 3, since it was" in told.what
    assert await lost(action(balancer, sockets=[f"{balancer.stats}-not"]), ramp(0.25), 3600.0) is None
    assert (await tried(action(balancer), order())).ending is Ending.DONE
    assert await lost(both, order(), 3600.0) is None


async def test_all_of_the_traffic_is_seen_whatever_weights_give_it(balancer: HAProxy) -> None:
    """A person who makes the candidate's weight less, and leaves the baseline none, has moved nothing."""
    assert (await tried(action(balancer), ramp(1.0))).ending is Ending.DONE
    balancer.command("set server web/g1 weight 7")
    assert await lost(action(balancer), ramp(1.0), 0.0) is None
    balancer.command("set server web/b1 weight 7")
    told = await lost(action(balancer), ramp(1.0), 0.0)
    assert told is not None
    assert not told.is_forgotten


async def test_weights_that_somebody_sets_after_a_reload_that_kept_them_are_not_forgotten(balancer: HAProxy) -> None:
    """The reload is younger than the order, and the weights were seen to be right after it: a person took the traffic
    away."""
    balancer.reload()
    assert (await tried(action(balancer), ramp(0.25))).ending is Ending.DONE
    right: dict[str, float] = {}
    assert await lost(action(balancer), ramp(0.25), 3600.0, right) is None
    right = {socket: seen + 1.0 for socket, seen in right.items()}  # HAProxy rounds its age down to seconds
    balancer.command("set server web/g1 weight 0")
    told = await lost(action(balancer), ramp(0.25), 3600.0, right)
    assert told == Departed(f"HAProxy at {balancer.stats} gives g1 the weight 0 and not 1", is_forgotten=False)
    assert (await tried(action(balancer), order())).ending is Ending.DONE


async def test_what_cannot_take_the_traffic_gets_none(balancer: HAProxy) -> None:
    spare = action(balancer, servers={"blue": ["b1"], "green": ["spare"]})
    up = await tried(spare, ramp(0.5))
    assert (up.ending, "none of spare is up" in up.detail) == (Ending.RETRY, True)
    gone = action(balancer, servers={"blue": ["spare"], "green": ["b1"]})
    back = await tried(gone, order())
    assert back.ending is Ending.NO_BASELINE
    assert await answers(balancer.url, 20) == {"1.0": 20}


async def test_what_goes_back_does_not_wait_for_an_haproxy_that_is_gone(balancer: HAProxy) -> None:
    """The one that lives takes it at once, and the gone one is tried again."""
    assert (await tried(action(balancer), ramp(1.0))).ending is Ending.DONE
    some_gone = action(balancer, sockets=[f"{balancer.stats}-not", str(balancer.stats)])
    back = await tried(some_gone, order())
    assert (back.ending, f"{balancer.stats}-not" in back.detail) == (Ending.RETRY, True), back
    assert await answers(balancer.url, 20) == {"1.0": 20}


async def test_a_ramp_widens_nothing_while_one_haproxy_is_gone(balancer: HAProxy) -> None:
    """Not at the first one either, though that answers."""
    assert (await tried(action(balancer), order())).ending is Ending.DONE
    some_gone = action(balancer, sockets=[str(balancer.stats), f"{balancer.stats}-not"])
    wider = await tried(some_gone, ramp(0.5))
    assert (wider.ending, f"{balancer.stats}-not" in wider.detail) == (Ending.RETRY, True), wider
    assert balancer.server("web", "g1")["weight"] == "0"


@asynccontextmanager
async def silent(folder: Path) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A socket that is connected to and answers nothing until its event is set, when it hangs up."""
    hangs_up = asyncio.Event()

    async def says_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hangs_up.wait()
        writer.close()

    async with await asyncio.start_unix_server(says_nothing, folder / "silent.sock"):
        yield str(folder / "silent.sock"), hangs_up
        hangs_up.set()


async def test_an_haproxy_that_says_nothing_does_not_keep_the_others_from_going_back(
    balancer: HAProxy, tmp_path: Path
) -> None:
    """They go back while it is still waited for."""
    assert (await tried(action(balancer), ramp(1.0))).ending is Ending.DONE
    async with silent(tmp_path) as (socket, hangs_up):
        back = asyncio.create_task(tried(action(balancer, sockets=[socket, str(balancer.stats)]), order()))
        while await answers(balancer.url, 4) != {"1.0": 4}:
            assert not back.done(), back.result()
        hangs_up.set()
        ended = await back
    assert (ended.ending, ended.detail) == (Ending.RETRY, f"{socket}: no answer")


async def test_no_haproxy_is_waited_for_as_long_as_the_action_has(
    balancer: HAProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither to widen nor to say what would be done."""
    monkeypatch.setattr("healthd_gates.actions.haproxy_runtime._ANSWERS_WITHIN", 0.1)
    async with silent(tmp_path) as (socket, _):
        asked = action(balancer, sockets=[socket])
        wider = await tried(asked, ramp(0.5))
        assert (wider.ending, wider.detail) == (Ending.RETRY, f"{socket}: no answer within 0.1 s")
        assert "no answer within 0.1 s" in await described(asked, ramp(0.5))


@pytest.mark.usefixtures("hung_resolver")
async def test_a_name_that_is_not_resolved_in_time_is_told(balancer: HAProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than that HAProxy, which nobody has called, did not answer."""
    monkeypatch.setattr("healthd_gates.actions.haproxy_runtime._ANSWERS_WITHIN", 0.1)
    wider = await tried(action(balancer, sockets=["hung.example:9999"]), ramp(0.5))
    assert wider.ending is Ending.RETRY
    assert wider.detail.startswith("hung.example:9999: the name hung.example was not resolved within 0.")


@asynccontextmanager
async def cutting(balancer: HAProxy, folder: Path, command: str, kept: Callable[[bytes], bytes]) -> AsyncIterator[str]:
    """The socket of a HAProxy that ends while it answers a command: of that answer comes what is kept."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = (await reader.readline()).decode().strip()
        said = (await asyncio.to_thread(balancer.command, asked)).encode()
        writer.write(kept(said) if asked.startswith(command) else said)
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(answer, folder / "cut.sock"):
        yield str(folder / "cut.sock")


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        ("show servers state", lambda _: b"1"),
        ("show servers state", lambda _: b"1\n"),
        ("show servers state", lambda said: said[: said.index(b"srv_name")]),
        ("show servers state", lambda said: said[: said.rindex(b" web ") + 8]),
        ("show servers state", lambda said: said[: said.index(b"\n", said.index(b" b1 ")) + 1]),
        ("show cli level", lambda said: said[:3]),
        ("show cli level", lambda _: b""),
        ("set server", lambda _: b""),
    ],
    ids=["one letter", "one line", "names cut", "row cut", "rows left out", "level cut", "no level", "set and gone"],
)
async def test_an_answer_that_is_cut_off_is_asked_for_again(
    command: str, kept: Callable[[bytes], bytes], balancer: HAProxy, tmp_path: Path
) -> None:
    """It says nothing for good, as that a server is not there or that its level is another."""
    assert (await tried(action(balancer), order())).ending is Ending.DONE
    async with cutting(balancer, tmp_path, command, kept) as socket:
        asked = await tried(action(balancer, sockets=[socket]), ramp(0.5))
    assert asked.ending is Ending.RETRY, asked
    assert asked.detail.startswith(f"{socket}: "), asked
    assert "answer" in asked.detail


async def test_a_backend_of_very_many_servers_goes_back() -> None:
    """What HAProxy tells of it is longer than one part that a socket gives."""
    with version.running("1.0") as old, version.running("2.0") as new:
        more = "".join(f" server spare-with-a-long-name-{number} 127.0.0.1:1 disabled\n" for number in range(900))
        servers = f" server b1 127.0.0.1:{old.port} weight 0\n{more} server g1 127.0.0.1:{new.port} weight 100\n"
        with haproxy.running(BACKEND + servers) as many:
            assert len(many.command("show servers state web")) > 65_536
            back = await tried(action(many), order())
            assert back.ending is Ending.DONE, back
            assert await answers(many.url, 4) == {"1.0": 4}


async def test_mistakes_are_told_with_their_cure(balancer: HAProxy) -> None:
    """A backend or server that is not there, a share that is too small, a socket that nobody listens on."""
    backend = await tried(action(balancer, backend="api"), ramp(0.5))
    told = f"{balancer.stats}: HAProxy has no backend api. There are: web."
    assert (backend.ending, backend.detail) == (Ending.REFUSED, told)
    near = await tried(action(balancer, backend="wep"), ramp(0.5))
    assert near.detail.endswith("has no backend wep. Did you mean web?")
    spoken = await tried(action(balancer, sockets=[f"{balancer.host}:{balancer.port}"]), ramp(0.5))
    assert "does not speak HAProxy's Runtime API, for it answers 'HTTP/1" in spoken.detail
    server = await tried(action(balancer, servers={"blue": ["b1"], "green": ["g7"]}), ramp(0.5))
    assert "web has no server g7; there are: b1, g1, spare" in server.detail
    small = await tried(action(balancer), ramp(0.002))
    assert (small.ending, "give the ramp more budget" in small.detail) == (Ending.REFUSED, True)
    nobody = await tried(action(balancer, sockets=[f"{balancer.stats}-not"]), ramp(0.5))
    assert (nobody.ending, "No such file" in nobody.detail) == (Ending.RETRY, True)
    assert "would set the weight 1 for g1 and 3 for b1" in await described(action(balancer), ramp(0.25))
    with pytest.raises(ValidationError, match="both have b1"):
        action(balancer, servers={"blue": ["b1"], "green": ["b1"]})
    with pytest.raises(ValidationError, match=r"sockets\.0"):
        action(balancer, sockets=["admin.sock"])


@pytest.mark.parametrize("candidates", [1, 2, 5])
@pytest.mark.parametrize("baselines", [1, 3, 10])
def test_a_weight_is_never_wider_than_ordered(candidates: int, baselines: int) -> None:
    """And within a hundredth of what was ordered."""
    for hundredths in range(1, 10_000, 7):
        share = hundredths / 10_000
        weights = weights_of(share, candidates, baselines)
        if weights is None:
            assert share < candidates / (candidates + 256 * baselines)
            continue
        given = candidates * weights.candidate
        got = given / (given + baselines * weights.baseline)
        assert got <= share + 1e-9
        assert got >= 0.5 * share
        assert max(weights.candidate, weights.baseline) <= 256
    assert weights_of(0.0, candidates, baselines) == Weights(0, 100)
    assert weights_of(1.0, candidates, baselines) == Weights(100, 0)
