"""The traffic of a real Traefik's weighted service, as a deploy moves it: the file is the only state."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from healthd_deploy.cli import main
from healthd_deploy.core.exit import NoAnswer, StepFailed, TargetDown
from healthd_deploy.core.misnamed import Misnamed
from healthd_deploy.core.platform import LooksBack, TakesBack
from healthd_deploy.traefik.settings import TraefikConfig
from healthd_deploy.traefik.traffic import Traffic
from healthd_deploy.weighted.platform import WeightedPlatform
from healthd_gates.actions.contract import Ending
from healthd_gates.actions.traefik_service import WeightedService
from tests.integration.gates.actions.ordering import configured, order, tried
from tests.integration.gates.actions.test_haproxy import answers
from tests.integration.gates.actions.test_traefik import ramp
from tests.servers import traefik, version
from tests.servers.ports import free_port
from tests.servers.traefik import Traefik
from tests.servers.waiting import until


@pytest.fixture(scope="module")
def balancer() -> Iterator[Traefik]:
    """Blue has 1.0, green 2.0, and spare answers nobody."""
    with version.running("1.0") as old, version.running("2.0") as new:
        urls = {"blue": old.url, "green": new.url, "spare": f"http://127.0.0.1:{free_port()}"}
        check = {"healthCheck": {"path": "/", "interval": "100ms"}}
        services = {name: {"loadBalancer": {"servers": [{"url": url}], **check}} for name, url in urls.items()}
        router = {"rule": "PathPrefix(`/`)", "service": "web", "entryPoints": ["traefik"], "priority": 1}
        # Traefik checks a service once something leads to it. Of two routers of one priority either may be asked.
        checked = {
            name: router | {"rule": f"PathPrefix(`/{name}`)", "service": name, "priority": 2} for name in services
        }
        with traefik.running(
            {"rest.yml": {"http": {"routers": {"web": router, **checked}, "services": services}}}
        ) as it:
            yield it


async def is_seen_down(balancer: Traefik) -> None:
    """After a change of the configuration Traefik counts every server as up until it is checked."""
    await until(lambda: "DOWN" in balancer.service("spare@file")["serverStatus"].values(), "the check fails")


def options(balancer: Traefik, **changes: Any) -> dict[str, Any]:
    return {
        "file": str(balancer.folder / "weights.yml"),
        "service": "web",
        "services": {"blue": "blue", "green": "green@file"},
        "apis": [balancer.url],
        **changes,
    }


@pytest.fixture
async def traffic(balancer: Traefik) -> AsyncIterator[Traffic]:
    """With all of it at blue, which has 1.0."""
    traffic = Traffic(WeightedService.model_validate(options(balancer)))
    await traffic.give("blue")
    for target, noted in (("blue", "1.0"), ("green", None)):
        await traffic.note(target, noted)
    yield traffic
    await traffic.close()


def platform(
    balancer: Traefik, traffic: Traffic, *argv: str, before: str | None = None, **more: Any
) -> WeightedPlatform:
    release = {"release": {"argv": argv or ["true"]}, **more}
    config = TraefikConfig.model_validate({"service": "api", "traffic": options(balancer), **release})

    async def before_ramp() -> str | None:
        return before

    return WeightedPlatform(config, traffic, before_ramp)


async def test_a_switch_moves_all_of_it_and_keeps_who_has_what(balancer: Traefik, traffic: Traffic) -> None:
    """Also through the writes of healthd's own action, which may come at any time."""
    deploys = platform(balancer, traffic)
    assert (await deploys.live(), await deploys.idle()) == ("blue", "green")
    await deploys.release("green", "2.0")
    await deploys.switch("green")
    assert await answers(f"{balancer.url}/", 20) == {"2.0": 20}
    assert (await deploys.live(), await deploys.strayed("green")) == ("green", None)
    told = f"web in {balancer.folder}/weights.yml gives blue 0 % of the traffic: who wrote the file"
    assert (strayed := await deploys.strayed("blue")) is not None
    assert (strayed.what.startswith(told), strayed.in_part) == (True, False)
    back = await tried(configured(kind="traefik", **options(balancer)), order())
    assert back.ending is Ending.DONE, back
    assert await answers(f"{balancer.url}/", 20) == {"1.0": 20}
    assert await deploys.live() == "blue"
    assert (await deploys.version("blue"), await deploys.version("green")) == ("1.0", "2.0")


async def test_a_file_that_is_gone_or_cannot_be_read_ends_no_way_back(balancer: Traefik, traffic: Traffic) -> None:
    """It is written again, or tried again, as what passes."""
    deploys = platform(balancer, traffic)
    await deploys.switch("green")
    file = balancer.folder / "weights.yml"
    file.unlink()
    file.mkdir()
    with pytest.raises(NoAnswer, match=r"weights\.yml cannot be written: Is a directory"):
        await deploys.take_back("blue")
    file.rmdir()
    await deploys.take_back("blue")
    assert await answers(f"{balancer.url}/", 4) == {"1.0": 4}


async def test_the_way_back_is_looked_at_before_a_switch(balancer: Traefik, traffic: Traffic) -> None:
    """A target of which no server is up could not get the traffic again; one that has it already is back."""
    deploys = platform(balancer, traffic)
    assert isinstance(deploys, LooksBack)
    await deploys.could_take_back("blue")
    await is_seen_down(balancer)
    dead = Traffic(WeightedService.model_validate(options(balancer, services={"blue": "spare", "green": "green"})))
    try:
        with pytest.raises(TargetDown, match="no server of spare is up"):
            await platform(balancer, dead).could_take_back("blue")
        with pytest.raises(TargetDown, match="no server of spare is up"):
            await dead.give("blue", goes_back=True)
        await dead.give("blue", even_if_down=True)
        await dead.give("blue", goes_back=True)
    finally:
        await dead.give("green")
        await dead.close()


async def test_what_is_taken_back_does_not_wait_for_a_traefik_that_is_gone(balancer: Traefik, traffic: Traffic) -> None:
    """The one that lives has it, and the tool tries again for the other; nothing goes forward without it."""
    gone = options(balancer, apis=[f"http://127.0.0.1:{free_port()}", balancer.url])
    some_gone = Traffic(WeightedService.model_validate(gone))
    deploys = platform(balancer, some_gone)
    try:
        with pytest.raises(NoAnswer, match="refused the connection"):
            await deploys.switch("green")
        assert await answers(f"{balancer.url}/", 20) == {"1.0": 20}
        await traffic.give("green")
        assert isinstance(deploys, TakesBack)
        with pytest.raises(NoAnswer, match="refused the connection"):
            await deploys.take_back("blue")
        assert await answers(f"{balancer.url}/", 20) == {"1.0": 20}
    finally:
        await some_gone.close()


async def test_where_a_ramp_divides_it_the_one_before_is_live(balancer: Traefik, traffic: Traffic) -> None:
    """By healthd's word; nothing is released to the other, unless it has that version already."""
    await traffic.note("green", "2.0")
    done = await tried(configured(kind="traefik", **options(balancer)), ramp(0.25))
    assert done.ending is Ending.DONE, done
    deploys = platform(balancer, traffic, "false", before="blue")
    assert (await deploys.live(), await deploys.share("green")) == ("blue", 0.25)
    assert await deploys.strayed("green", 0.25) is None
    assert (lost := await deploys.strayed("green", 0.5)) is not None
    assert lost.told.endswith("gives green 25 % of the traffic: who wrote the file? Its ramp ordered 50 %")
    await deploys.release("green", "2.0")
    with pytest.raises(
        StepFailed, match=r"green has 25 % of the traffic.*`healthd-deploy traefik switch blue` takes it"
    ):
        await deploys.release("green", "2.1")
    with pytest.raises(StepFailed, match="sends 75 % to blue, 25 % to green, and no gate of healthd says"):
        await platform(balancer, traffic).live()


async def test_a_release_that_failed_leaves_no_version_behind(balancer: Traefik, traffic: Traffic) -> None:
    """What is on the target is not known then."""
    await traffic.note("green", "2.0")
    with pytest.raises(StepFailed, match="false ended with 1"):
        await platform(balancer, traffic, "false").release("green", "2.1")
    assert await traffic.version("green") is None


async def test_what_is_down_gets_nothing(balancer: Traefik) -> None:
    """A release waits for Traefik's own check, and says what it saw; a person may insist."""
    asked = options(balancer, services={"blue": "blue", "spare": "spare"})
    traffic = Traffic(WeightedService.model_validate(asked))
    try:
        await traffic.give("blue")
        await is_seen_down(balancer)
        written = (balancer.folder / "weights.yml").read_text()
        with pytest.raises(TargetDown, match="no server of spare is up"):
            await traffic.give("spare")
        with pytest.raises(StepFailed, match=r"spare is up in Traefik: not within 0.2 s \(no server of spare is up"):
            await traffic.is_up("spare", within=0.2)
        assert (balancer.folder / "weights.yml").read_text() == written
        await traffic.give("spare", even_if_down=True)
        assert await traffic.shares() == {"blue": 0.0, "spare": 1.0}
    finally:
        await traffic.close()


async def test_what_the_file_says_is_not_guessed_from(tmp_path: Path, balancer: Traefik) -> None:
    """No file, one that sends the traffic elsewhere or nowhere, one with more in it, and an API that is not there."""
    file = tmp_path / "weights.yml"
    said = options(balancer, file=str(file), apis=[f"http://127.0.0.1:{free_port()}"])
    traffic = Traffic(WeightedService.model_validate(said))
    with pytest.raises(StepFailed, match="`healthd-deploy traefik switch` writes the first one"):
        await traffic.shares()
    with pytest.raises(StepFailed, match="`healthd-deploy traefik switch` writes the first one"):
        await traffic.note("blue", "1.0")
    for services, why in (
        ([{"name": "blue"}, {"name": "red", "weight": 3}], "sends traffic to red, and not between blue and green"),
        ([{"name": "blue", "weight": 0}], "sends traffic nowhere"),
    ):
        file.write_text(json.dumps({"http": {"services": {"web": {"weighted": {"services": services}}}}}))
        with pytest.raises(StepFailed, match=why):
            await traffic.shares()
    file.write_text(json.dumps({"http": {"routers": {}}}))
    with pytest.raises(StepFailed, match="holds routers too"):
        await traffic.version("blue")
    file.unlink()
    with pytest.raises(NoAnswer, match="refused the connection"):
        await traffic.give("blue")
    await traffic.close()


def test_the_first_switch(balancer: Traefik, tmp_path: Path) -> None:
    """It reads `traffic` alone, so that it needs no token; a target that is down is exit code 4."""
    settings = tmp_path / "blue-green.yaml"
    file = balancer.folder / "weights.yml"
    file.unlink(missing_ok=True)
    asked = options(balancer, services={"blue": "blue", "spare": "spare"})
    settings.write_text(f"healthd: {{token: '${{HEALTHD_TOKEN}}'}}\ntraffic: {json.dumps(asked)}\n")
    env = {"HEALTHD_TOKEN": None}
    words = ["traefik", "switch", "--config", str(settings)]
    first = CliRunner().invoke(main, [*words, "blue", "--version", "1.0"], env=env)
    assert (first.exit_code, first.output) == (0, "the traffic goes to blue\n")
    assert file.read_text().splitlines()[1] == '# Versions of the targets: {"blue": "1.0"}'
    unknown = CliRunner().invoke(main, [*words, "red"], env=env)
    assert (unknown.exit_code, unknown.output) == (3, "red is not one of the targets blue, spare.\n")
    asyncio.run(is_seen_down(balancer))
    dead = CliRunner().invoke(main, [*words, "spare"], env=env)
    assert (dead.exit_code, "no server of spare is up" in dead.output) == (4, True), dead.output
    forced = CliRunner().invoke(main, [*words, "spare", "--force"], env=env)
    assert forced.exit_code == 0, forced.output


@pytest.mark.parametrize(
    ("changes", "key", "says"),
    [
        ({"apis": ["http://traefik.invalid:8080"]}, "apis.0", "the name traefik.invalid was not resolved"),
        ({"apis": ["{api}", "{api}/blue"]}, "apis.1", "answers with something else than Traefik's API does"),
        ({"apis": ["{tls}"]}, "apis.0", "the certificate of 127.0.0.1 is self-signed"),
        ({"services": {"blue": "blue", "green": "gren"}}, "services.green", "has no service gren@file"),
        ({"file": "{folder}/gone/weights.yml"}, "file", "the folder {folder}/gone is not there"),
    ],
    ids=["no host", "another answer", "no trust", "service", "folder"],
)
def test_a_name_that_traefik_does_not_have(
    changes: dict[str, Any], key: str, says: str, balancer: Traefik, tmp_path: Path
) -> None:
    """Is wrong in the file, and said with its place there; one at which nobody listens may be of a Traefik that has
    ended."""
    settings = tmp_path / "blue-green.yaml"

    places = {"{api}": balancer.url, "{tls}": balancer.url.replace("http:", "https:"), "{folder}": str(tmp_path)}

    def tried(**changes: Any) -> tuple[int, str]:
        text = f"traffic: {json.dumps(options(balancer, **changes))}\n"
        for name, place in places.items():
            text = text.replace(name, place)
        settings.write_text(text)
        found = CliRunner().invoke(main, ["traefik", "switch", "--config", str(settings), "blue"])
        return found.exit_code, found.output

    code, said = tried(**changes)
    assert (code, said.startswith(f"{settings}:1: traffic.{key}: ")) == (3, True), said
    assert says.replace("{folder}", str(tmp_path)) in said
    code, said = tried(apis=[f"http://127.0.0.1:{free_port()}"])
    assert (code, "refused the connection" in said) == (1, True), said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("http: {services: {web: {weighted: {services: []}}, api: {}}}\n", "holds api too"),
        ("http: {services: {wbe: {weighted: {services: []}}}}\n", "holds wbe too"),
        ("http: {servics: {}}\n", "holds servics too"),
        ("http: [\n", "is no YAML"),
    ],
)
def test_a_file_that_holds_something_else_is_wrong_in_the_configuration(text: str, says: str, tmp_path: Path) -> None:
    """It is found before anything is released, whether a Traefik answers or not, and ends with the code for that."""
    settings, weights = tmp_path / "blue-green.yaml", tmp_path / "weights.yml"
    weights.write_text(text)
    traffic = {
        "file": str(weights),
        "service": "web",
        "services": {"blue": "blue", "green": "green"},
        "apis": [f"http://127.0.0.1:{free_port()}"],
    }
    settings.write_text(f"traffic: {json.dumps(traffic)}\n")
    found = CliRunner().invoke(main, ["traefik", "switch", "--config", str(settings), "blue"])
    assert (found.exit_code, says in found.output) == (3, True), found.output
    assert found.output.startswith(f"{settings}:1: traffic.file: {weights} ")
    assert weights.read_text() == text


async def test_a_folder_that_is_not_there_is_found_before_the_release(balancer: Traefik, tmp_path: Path) -> None:
    """Also with --no-rollback, which does not look at the way back."""
    nowhere = {**options(balancer), "file": str(tmp_path / "nowhere" / "weights.yml")}
    traffic = Traffic(WeightedService.model_validate(nowhere))
    with pytest.raises(StepFailed, match=r"cannot be written: the folder .*nowhere is not there"):
        platform(balancer, traffic).check_programs()


async def test_a_traefik_that_has_not_read_its_files_yet_is_waited_for(balancer: Traefik) -> None:
    """It answers its API before its file provider is loaded. One that never has the service is wrong in the file."""
    late = balancer.folder / "late.yml"
    traffic = Traffic(WeightedService.model_validate(options(balancer, services={"blue": "blue", "late": "late"})))
    try:
        with pytest.raises(Misnamed, match="has no service late@file"):
            await traffic.is_up("late", within=0.2)
        waiting = asyncio.create_task(traffic.is_up("late", within=60))
        await asyncio.wait({waiting}, timeout=0.5)
        url = balancer.service("blue@file")["loadBalancer"]["servers"][0]["url"]
        late.write_text(json.dumps({"http": {"services": {"late": {"loadBalancer": {"servers": [{"url": url}]}}}}}))
        await waiting
    finally:
        late.unlink(missing_ok=True)
        await traffic.close()
