"""The weights of a real HAProxy's servers, as a deploy moves them: they are the state."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from healthd_deploy.cli import main
from healthd_deploy.core.exit import NoAnswer, NothingSwitched, StepFailed, TargetDown
from healthd_deploy.core.platform import DividesTraffic, LooksBack, RunsPrograms, TakesBack
from healthd_deploy.haproxy.settings import DeployedBackend, HAProxyConfig
from healthd_deploy.haproxy.traffic import Traffic
from healthd_deploy.weighted.platform import WeightedPlatform
from healthd_gates.actions.contract import Ending
from tests.acceptance.guide import blocks_of
from tests.integration.gates.actions.ordering import configured, order, tried
from tests.integration.gates.actions.test_haproxy import answers, cutting, ramp, silent
from tests.servers import haproxy, version
from tests.servers.haproxy import HAProxy
from tests.servers.ports import free_port
from tests.servers.waiting import until

SERVERS = {"blue": ["b1"], "green": ["g1"]}


@contextmanager
def balancing(more: str = "") -> Iterator[HAProxy]:
    """Blue, with the traffic, has 1.0 and green 2.0."""
    with version.running("1.0") as old, version.running("2.0") as new:
        servers = f" server b1 127.0.0.1:{old.port} weight 100\n server g1 127.0.0.1:{new.port} weight 0\n"
        web = "default_backend web\nbackend web\n balance roundrobin\n option http-server-close\n"
        with haproxy.running(f"{web}{servers}{more}") as running:
            yield running


@pytest.fixture(scope="module")
def shared() -> Iterator[HAProxy]:
    """With a reserve, one in maintenance, and one that HAProxy's check finds down."""
    dead = f" server dead 127.0.0.1:{free_port()} weight 0 check inter 50ms fall 1\n"
    with balancing(f" server sorry 127.0.0.1:1 backup\n server off 127.0.0.1:1 weight 0 disabled\n{dead}") as running:
        yield running


@pytest.fixture
def balancer(shared: HAProxy) -> HAProxy:
    """With all of the traffic at blue."""
    for server, weight in (("b1", 100), ("g1", 0), ("dead", 0)):
        shared.command(f"set server web/{server} weight {weight}")
    return shared


def options(balancer: HAProxy, folder: Path, **changes: Any) -> dict[str, Any]:
    place = {"sockets": [str(balancer.stats)], "backend": "web", "servers": SERVERS}
    return {**place, "versions": str(folder / "api.json"), **changes}


def platform(
    balancer: HAProxy, folder: Path, *argv: str, before: str | None = None, within: str = "60s", **changes: Any
) -> WeightedPlatform:
    said = {"service": "api", "traffic": options(balancer, folder, **changes), "up_within": within}
    config = HAProxyConfig.model_validate({**said, "release": {"argv": argv or ["true"]}})

    async def before_ramp() -> str | None:
        return before

    return WeightedPlatform(config, Traffic(config.traffic), before_ramp)


async def test_a_switch_moves_all_of_it_and_keeps_who_has_what(balancer: HAProxy, tmp_path: Path) -> None:
    """Also through healthd's own action, which may come at any time."""
    deploys = platform(balancer, tmp_path)
    assert (await deploys.live(), await deploys.idle()) == ("blue", "green")
    await deploys.release("green", "2.0")
    await deploys.switch("green")
    assert await answers(f"{balancer.url}/", 20) == {"2.0": 20}
    assert (await deploys.live(), await deploys.version("green")) == ("green", "2.0")
    place = {"sockets": [str(balancer.stats)], "backend": "web", "servers": SERVERS}
    back = await tried(configured(kind="haproxy", **place), order())
    assert back.ending is Ending.DONE, back
    assert await answers(f"{balancer.url}/", 20) == {"1.0": 20}
    assert await deploys.live() == "blue"


async def test_one_of_two_haproxies_is_gone(balancer: HAProxy, tmp_path: Path) -> None:
    """A switch changes nothing at the other; the way back is taken there at once, and tried again for the one gone."""
    gone = f"{tmp_path}/gone.sock"
    for sockets in ([gone, str(balancer.stats)], [str(balancer.stats), gone]):
        deploys = platform(balancer, tmp_path, sockets=sockets)
        assert isinstance(deploys, TakesBack)
        cure = "No such file or directory. Where this HAProxy is out of service, take it out of `sockets`"
        with pytest.raises(NoAnswer, match=cure) as failed:
            await deploys.switch("green")
        assert isinstance(failed.value, NothingSwitched)
        assert balancer.server("web", "g1")["weight"] == "0"
        await platform(balancer, tmp_path).switch("green")
        with pytest.raises(NoAnswer, match=r"No such file or directory$"):
            await deploys.take_back("blue")
        assert await answers(f"{balancer.url}/", 20) == {"1.0": 20}
        with pytest.raises(NoAnswer, match="No such file"):
            await deploys.live()


async def test_no_haproxy_is_waited_for_without_end(
    balancer: HAProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is connected to and says nothing keeps neither the others from going back nor the tool."""
    monkeypatch.setattr("healthd_gates.actions.haproxy_runtime._ANSWERS_WITHIN", 1.0)
    await platform(balancer, tmp_path).switch("green")
    async with silent(tmp_path) as (socket, _):
        deploys = platform(balancer, tmp_path, sockets=[socket, str(balancer.stats)])
        with pytest.raises(NoAnswer, match=r"silent.sock: no answer within 1 s"):
            await deploys.take_back("blue")
        assert await answers(f"{balancer.url}/", 20) == {"1.0": 20}
        with pytest.raises(NothingSwitched, match=r"silent.sock: no answer within 1 s"):
            await deploys.switch("green")


async def test_a_way_back_is_tried_again_where_an_answer_was_cut_off(balancer: HAProxy, tmp_path: Path) -> None:
    """As of a HAProxy that is reloaded in that moment."""
    await platform(balancer, tmp_path).switch("green")
    async with cutting(balancer, tmp_path, "show servers state", lambda _: b"1\n") as socket:
        with pytest.raises(NoAnswer, match="its answer was cut off after 2 characters"):
            await platform(balancer, tmp_path, sockets=[socket]).take_back("blue")


@pytest.mark.parametrize(
    ("then", "told"),
    [
        ((b" g1 ", b" g9 "), r"^traffic\.servers\.green\.0: .*cut.sock: web has no server g1;"),
        ((b" g1 127.0.0.1 2 ", b" g1 127.0.0.1 0 "), r"cut.sock: none of g1 is up$"),
    ],
    ids=["gone", "down"],
)
async def test_a_server_that_is_lost_while_it_is_switched(
    then: tuple[bytes, bytes], told: str, balancer: HAProxy, tmp_path: Path
) -> None:
    """As of a HAProxy that is reloaded after the look: the one before it has the new weights, so that nothing says that
    the traffic is where it was."""
    asked = 0

    def changed(said: bytes) -> bytes:
        nonlocal asked
        asked += 1
        return said if asked <= 2 else said.replace(*then)  # after the look, and the one before anything is set

    async with cutting(balancer, tmp_path, "show servers state", changed) as other:
        deploys = platform(balancer, tmp_path, sockets=[str(balancer.stats), other])
        with pytest.raises(StepFailed, match=told) as failed:
            await deploys.switch("green")
    assert not isinstance(failed.value, NothingSwitched)
    assert balancer.server("web", "g1")["weight"] == "100"


async def test_two_that_differ_have_no_live_target(balancer: HAProxy, tmp_path: Path) -> None:
    """One was reloaded and has forgotten the weights: nothing is guessed, and a switch ends it."""
    with balancing() as other:
        await platform(other, tmp_path).switch("green")
        deploys = platform(balancer, tmp_path, sockets=[str(balancer.stats), str(other.stats)])
        assert (told := await deploys.strayed("green")) is not None
        assert told.in_part
        assert f"{balancer.stats} gives green 0 % of the traffic: was it reloaded" in told.what
        with pytest.raises(
            StepFailed, match="sends 50 % to blue, 50 % to green, and no gate of healthd says"
        ) as differ:
            await deploys.live()
        assert f"{balancer.stats} gives blue 100 %, green 0 %; {other.stats} gives blue 0 %, green 100 %" in str(
            differ.value
        )
        assert "`healthd-deploy haproxy switch blue` or `healthd-deploy haproxy switch green` makes them" in str(
            differ.value
        )
        await deploys.switch("green")
        assert await deploys.strayed("green") is None
        assert await deploys.live() == "green"
        assert await answers(f"{balancer.url}/", 20) == {"2.0": 20}


async def test_what_one_has_lost_is_seen_beside_one_that_says_nothing(balancer: HAProxy, tmp_path: Path) -> None:
    """Nobody knows what the silent one gives. All of it is gone only where each one answers and gives nothing."""
    both = platform(balancer, tmp_path, sockets=[str(tmp_path / "gone.sock"), str(balancer.stats)])
    with pytest.raises(NoAnswer, match="No such file"):
        await both.strayed("blue")
    assert (lost := await both.strayed("green")) is not None
    assert (lost.what.startswith(f"HAProxy at {balancer.stats} gives green 0 % of the traffic"), lost.in_part) == (
        True,
        True,
    )
    alone = platform(balancer, tmp_path)
    assert (lost := await alone.strayed("green")) is not None
    assert not lost.in_part


async def test_what_haproxy_finds_down_gets_nothing(balancer: HAProxy, tmp_path: Path) -> None:
    """A release waits for its check and says what it saw; a switch and a way back look first; a person may insist."""
    deploys = platform(balancer, tmp_path, servers={"blue": ["b1"], "spare": ["dead"]}, within="200ms")
    await until(lambda: balancer.server("web", "dead")["status"] == "DOWN", "the check fails")
    with pytest.raises(TargetDown, match="none of dead is up"):
        await deploys.switch("spare")
    with pytest.raises(TargetDown, match="none of dead is up"):
        await deploys.take_back("spare")
    assert isinstance(deploys, LooksBack)
    await deploys.could_take_back("blue")
    with pytest.raises(TargetDown, match="none of dead is up"):
        await deploys.could_take_back("spare")
    assert balancer.server("web", "b1")["weight"] == "100"
    with pytest.raises(StepFailed, match=r"spare is up in HAProxy: not within 0.2 s \(.*: dead down\)"):
        await deploys.release("spare", "2.1")
    assert await deploys.version("spare") is None
    both = platform(balancer, tmp_path, servers={"blue": ["b1"], "green": ["g1", "dead"]}, within="200ms")
    with pytest.raises(StepFailed, match=r"green is up in HAProxy: not within 0.2 s \(.*: dead down\)"):
        await both.release("green", "2.1")
    some = platform(balancer, tmp_path, servers={"blue": ["b1"], "green": ["g1", "off"]}, within="60s")
    await some.release("green", "2.1")
    none = platform(balancer, tmp_path, servers={"blue": ["b1"], "green": ["off"]}, within="200ms")
    with pytest.raises(StepFailed, match="off in maintenance"):
        await none.release("green", "2.1")


async def test_what_healthd_has_taken_back_is_back(balancer: HAProxy, tmp_path: Path) -> None:
    """Also to a target that went down since: there is nothing left to do."""
    deploys = platform(balancer, tmp_path, servers={"spare": ["dead"], "blue": ["b1"]})
    await until(lambda: balancer.server("web", "dead")["status"] == "DOWN", "the check fails")
    for server, weight in (("dead", 100), ("b1", 0)):
        balancer.command(f"set server web/{server} weight {weight}")
    await deploys.take_back("spare")


async def test_where_a_ramp_divides_it_the_one_before_is_live(balancer: HAProxy, tmp_path: Path) -> None:
    """By healthd's word; nothing is released to the other, unless it has that version already."""
    deploys = platform(balancer, tmp_path, "false", before="blue")
    assert isinstance(deploys, DividesTraffic)
    (tmp_path / "api.json").write_text('{"green": "2.0"}')
    place = {"sockets": [str(balancer.stats)], "backend": "web", "servers": SERVERS}
    assert (await tried(configured(kind="haproxy", **place), ramp(0.25))).ending is Ending.DONE
    assert (await deploys.live(), await deploys.share("green")) == ("blue", 0.25)
    assert await deploys.strayed("green", 0.25) is None
    assert (lost := await deploys.strayed("green", 0.5)) is not None
    assert lost.share == 0.25
    assert lost.told == (
        f"HAProxy at {balancer.stats} gives green 25 % of the traffic: was it reloaded without its state? Its ramp "
        "ordered 50 %"
    )
    await deploys.release("green", "2.0")
    taken = r"green has 25 % of the traffic.*`healthd-deploy haproxy switch blue` takes it"
    with pytest.raises(StepFailed, match=taken):
        await deploys.release("green", "2.1")
    with pytest.raises(StepFailed, match="sends 75 % to blue, 25 % to green, and no gate of healthd says"):
        await platform(balancer, tmp_path).live()


async def test_a_release_that_failed_leaves_no_version_behind(balancer: HAProxy, tmp_path: Path) -> None:
    """What is on the target is not known then."""
    (tmp_path / "api.json").write_text('{"blue": "1.0", "green": "2.0"}')
    deploys = platform(balancer, tmp_path, "false")
    with pytest.raises(StepFailed, match="false ended with 1"):
        await deploys.release("green", "2.1")
    assert (await deploys.version("green"), await deploys.version("blue")) == (None, "1.0")


async def test_a_server_of_no_target_that_has_traffic(balancer: HAProxy, tmp_path: Path) -> None:
    """A reserve and one in maintenance get none."""
    await platform(balancer, tmp_path).live()
    balancer.command("set server web/dead weight 10")
    with pytest.raises(StepFailed, match="sends traffic to dead, and not between blue and green"):
        await platform(balancer, tmp_path).live()
    for server in ("b1", "dead"):
        balancer.command(f"set server web/{server} weight 0")
    with pytest.raises(StepFailed, match="sends traffic nowhere: `healthd-deploy haproxy switch` gives it"):
        await platform(balancer, tmp_path).live()


async def test_a_socket_that_may_not_set_weights(tmp_path: Path) -> None:
    """Found by the look before the release, and by a switch before it sets anything."""
    lesser = tmp_path / "operator.sock"
    with (
        version.running("1.0") as old,
        haproxy.running(
            f"default_backend web\nbackend web\n server b1 127.0.0.1:{old.port}\n server g1 127.0.0.1:1 weight 0\n"
            f"global\n stats socket {lesser} level operator\n"
        ) as running,
    ):
        deploys = platform(running, tmp_path, sockets=[str(lesser)])
        assert await deploys.live() == "blue"
        for work in (deploys.could_take_back("blue"), deploys.switch("blue")):
            with pytest.raises(NothingSwitched, match="its level is operator: `stats socket` needs `level admin`"):
                await work


async def test_a_record_that_is_none(balancer: HAProxy, tmp_path: Path) -> None:
    """Neither read as one nor written over; a folder that is not there is found before the release."""
    (tmp_path / "api.json").write_text("[1]")
    deploys = platform(balancer, tmp_path)
    with pytest.raises(StepFailed, match="is no record of versions"):
        await deploys.version("blue")
    with pytest.raises(StepFailed, match="is no record of versions"):
        await deploys.release("green", "2.0")
    assert (tmp_path / "api.json").read_text() == "[1]"
    nowhere = platform(balancer, tmp_path / "nowhere")
    assert isinstance(nowhere, RunsPrograms)
    with pytest.raises(StepFailed, match=r"cannot be written: the folder .*nowhere is not there"):
        nowhere.check_programs()


async def test_what_works_against_weights_is_said(balancer: HAProxy, tmp_path: Path) -> None:
    """An agent that names a percentage, as healthd's own does, undoes a weight, and so does a reload; a cookie outlives
    it."""

    async def up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"up ready 100%\n")
        writer.close()

    async with await asyncio.start_server(up, "127.0.0.1", free_port()) as agent:
        port = agent.sockets[0].getsockname()[1]
        b1 = f"server b1 127.0.0.1:1 weight 100 agent-check agent-port {port} agent-inter 100ms"
        web = f"default_backend web\nbackend web\n cookie at insert\n {b1}\n server g1 127.0.0.1:1 weight 0 cookie g1\n"
        with haproxy.running(web) as running:
            backend = DeployedBackend.model_validate(options(running, tmp_path))
            await until(lambda: running.server("web", "b1")["agent_status"] == "L7OK", "the agent answers")
            agents, cookies, reload = await Traffic(backend).remarks()
            assert agents.startswith("the agent-check of b1 sets its weight anew")
            assert cookies.startswith("the cookie of g1 keeps callers")
            assert reload.startswith("a reload of HAProxy gives the traffic to whom its file names")
            running.command("set server web/b1 weight 7")
            await until(lambda: running.server("web", "b1")["weight"] == "100", "the agent undoes it")
    backend = DeployedBackend.model_validate(options(balancer, tmp_path))
    assert await Traffic(backend).remarks() == [reload.replace(str(running.stats), str(balancer.stats))]


def test_the_first_switch(balancer: HAProxy, tmp_path: Path) -> None:
    """It reads `traffic` alone, so that it needs no token; a target that is down is exit code 4."""
    settings = tmp_path / "blue-green.yaml"
    asked = options(balancer, tmp_path, servers={"green": ["g1"], "spare": ["off"]})
    settings.write_text(f"healthd: {{token: '${{HEALTHD_TOKEN}}'}}\ntraffic: {json.dumps(asked)}\n")
    env = {"HEALTHD_TOKEN": None}
    words = ["haproxy", "switch", "--config", str(settings)]
    first = CliRunner().invoke(main, [*words, "green", "--version", "2.0"], env=env)
    assert (first.exit_code, first.output) == (0, "the traffic goes to green\n")
    assert json.loads((tmp_path / "api.json").read_text()) == {"green": "2.0"}
    unknown = CliRunner().invoke(main, [*words, "red"], env=env)
    assert (unknown.exit_code, unknown.output) == (3, "red is not one of the targets green, spare.\n")
    dead = CliRunner().invoke(main, [*words, "spare"], env=env)
    assert (dead.exit_code, "none of off is up" in dead.output) == (4, True), dead.output
    forced = CliRunner().invoke(main, [*words, "spare", "--force"], env=env)
    assert forced.exit_code == 0, forced.output


@pytest.mark.parametrize(
    ("changes", "key", "says"),
    [
        ({"backend": "wbe"}, "backend", "HAProxy has no backend wbe. Did you mean web?"),
        ({"servers": {"blue": ["b1"], "green": ["G1"]}}, "servers.green.0", "web has no server G1; there are: b1, "),
        ({"sockets": ["http"]}, "sockets.0", "does not speak HAProxy's Runtime API, for it answers 'HTTP/1"),
        ({"sockets": ["{stats}x"]}, "sockets.0", "statsx: No such file or directory. Did you mean {stats}?"),
        ({"sockets": ["{stats}", "{stats}/x"]}, "sockets.1", "stats/x: Not a directory. Is it what HAProxy's `stats "),
        ({"sockets": ["{folder}/blue-green.yaml"]}, "sockets.0", "blue-green.yaml: Connection refused. Is it what"),
        ({"sockets": ["web.invalid:9999"]}, "sockets.0", "web.invalid:9999: Name or service not known. Is it what"),
        ({"sockets": ["web..net:9999"]}, "sockets.0", "web..net:9999: its host is no name. Is it what"),
        ({"sockets": ["10.0.1.5:99999"]}, "sockets.0", "has a port that cannot be: write a number from 1 to 65535"),
        (
            {"versions": "{folder}/gone/api.json"},
            "versions",
            "cannot be written: the folder {folder}/gone is not there",
        ),
    ],
    ids=[
        "backend",
        "server",
        "a port of HTTP",
        "slip",
        "no folder",
        "no socket",
        "no host",
        "no name",
        "port",
        "record",
    ],
)
def test_a_name_that_haproxy_does_not_have(
    changes: dict[str, Any], key: str, says: str, balancer: HAProxy, tmp_path: Path
) -> None:
    """Is wrong in the file, and said with its place there."""
    if changes == {"sockets": ["http"]}:
        changes = {"sockets": [f"{balancer.host}:{balancer.port}"]}
    text = f"traffic: {json.dumps(options(balancer, tmp_path, **changes))}\n"
    settings = tmp_path / "blue-green.yaml"
    for name, place in {"{stats}": str(balancer.stats), "{folder}": str(tmp_path)}.items():
        text, says = text.replace(name, place), says.replace(name, place)
    settings.write_text(text)
    for more in ([], ["--force"], ["--version", "2.0"]):
        if key == "versions" and not more[1:]:
            continue  # a switch records nothing else
        found = CliRunner().invoke(main, ["haproxy", "switch", "--config", str(settings), "green", *more])
        assert (found.exit_code, found.output.startswith(f"{settings}:1: traffic.{key}: ")) == (3, True), found.output
        assert says in found.output


async def test_remarks_on_what_is_no_haproxy(balancer: HAProxy, tmp_path: Path) -> None:
    """A deploy's first question, where nothing is known yet: the look after it says what is wrong."""
    backend = DeployedBackend.model_validate(options(balancer, tmp_path, sockets=[f"{balancer.host}:{balancer.port}"]))
    assert await Traffic(backend).remarks() == ()


def test_a_restart_keeps_the_weights_by_the_state_that_was_written(tmp_path: Path) -> None:
    """As the page says, and forgets them otherwise."""
    state = tmp_path / "servers.state"
    loads = "default_backend web\nbackend web\n load-server-state-from-file global\n"
    servers = (
        f" server b1 127.0.0.1:1 weight 100\n server g1 127.0.0.1:2 weight 0\nglobal\n server-state-file {state}\n"
    )
    with haproxy.running(loads + servers) as running:
        for server, weight in (("g1", 100), ("b1", 0)):
            running.command(f"set server web/{server} weight {weight}")
        written = running.command("show servers state")
    with haproxy.running(loads + servers) as forgetful:
        assert forgetful.server("web", "g1")["weight"] == "0"
    state.write_text(written)
    with haproxy.running(loads + servers) as mindful:
        assert [mindful.server("web", name)["weight"] for name in ("b1", "g1")] == ["0", "100"]


def test_one_that_returns_is_kept_from_traffic_until_its_weights_are_set(tmp_path: Path) -> None:
    """By the file of the page: whoever asks whether it is up is told no, and the switch makes it yes."""
    page = Path(__file__).parents[4] / "docs/deploy/haproxy.md"
    (text,) = (text for kind, text in blocks_of(page.read_text()) if text.startswith("# second.cfg"))
    own = text[text.index("    monitor-uri") :]
    with version.running("1.0") as blue, version.running("2.0") as green:
        for documented, server in (("127.0.0.1:3001", blue), ("127.0.0.1:3002", green)):
            own = own.replace(documented, f"127.0.0.1:{server.port}")
        with haproxy.running(own) as running:
            assert status(f"{running.url}/haproxy-up") == status(f"{running.url}/") == 503
            said = options(running, tmp_path, backend="api", servers={"blue": ["blue"], "green": ["green"]})
            (settings := tmp_path / "tool.yaml").write_text(f"traffic: {json.dumps(said)}\n")
            switched = CliRunner().invoke(main, ["haproxy", "switch", "green", "--config", str(settings)])
            assert switched.exit_code == 0, switched.output
            assert status(f"{running.url}/haproxy-up") == status(f"{running.url}/") == 200


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
