"""The file that NGINX includes: replaced whole, taken back when NGINX refuses it, and nothing foreign gets in."""

import asyncio
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from healthd_deploy.cli import main
from healthd_deploy.core.exit import NoAnswer, StepFailed, TargetDown
from healthd_deploy.core.misnamed import Misnamed
from healthd_deploy.core.steps import Steps
from healthd_deploy.nginx import able
from healthd_deploy.nginx.platform import NginxPlatform
from healthd_deploy.nginx.rehearsal import Rehearsal
from healthd_deploy.nginx.settings import NginxConfig, Upstream
from healthd_deploy.nginx.state import State
from healthd_deploy.nginx.switch import UpstreamSwitch
from healthd_deploy.nginx.upstream_file import UpstreamFile

TARGETS = {"blue": ["127.0.0.1:1"], "green": ["unix:/run/green.sock", "[::1]:3000"]}


def upstream(folder: Path, **changes: Any) -> Upstream:
    said = {"file": folder / "api.conf", "name": "api", "targets": TARGETS, "test": ["true"], "reload": ["true"]}
    said["pid"] = folder / "pid"  # never the machine's own NGINX
    return Upstream.model_validate({**said, **changes})


async def test_the_switch(tmp_path: Path) -> None:
    """The first one writes the file; which version is where outlives the next."""
    file = UpstreamFile(upstream(tmp_path))
    switch = UpstreamSwitch(upstream(tmp_path)).switch
    await switch("green", even_if_dead=True)
    file.noted("blue", "1.0")
    await switch("blue", even_if_dead=True)
    assert (file.read().live, file.read().versions) == ("blue", {"blue": "1.0"})
    assert "server 127.0.0.1:1;\n" in (tmp_path / "api.conf").read_text()
    await switch("green", even_if_dead=True)
    text = (tmp_path / "api.conf").read_text()
    assert "server unix:/run/green.sock;\n    server [::1]:3000;\n" in text


def shares(text: str) -> dict[str, int]:
    return {found[1]: int(found[2]) for found in re.finditer(r"server (\S+) weight=(\d+);", text)}


async def test_a_part_of_the_traffic(tmp_path: Path) -> None:
    """Each target has its percentage, whatever the number of its servers; the live one stays the one to go back to."""
    file, conf = UpstreamFile(upstream(tmp_path)), tmp_path / "api.conf"
    switch = UpstreamSwitch(upstream(tmp_path)).switch
    await switch("blue", even_if_dead=True)
    await switch("green", 1.66, even_if_dead=True)
    assert (file.read().live, file.read().share("green")) == ("blue", 1.66)
    green, blue = ("unix:/run/green.sock", "[::1]:3000"), "127.0.0.1:1"
    weights = shares(conf.read_text())
    assert sum(weights[server] for server in green) / sum(weights.values()) == pytest.approx(0.0166)
    await switch("green", 25, even_if_dead=True)
    assert shares(conf.read_text()) == {blue: 6, green[0]: 1, green[1]: 1}
    await switch("green", 0, even_if_dead=True)
    assert (file.read(), shares(conf.read_text())) == (State("blue"), {})
    await switch("green", 25, even_if_dead=True)
    await switch("green", 100, even_if_dead=True)
    assert (file.read().live, file.read().other) == ("green", 0.0)


async def test_the_way_back_asks_nothing_of_the_candidate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead one gets no more, and does not keep what it has."""
    asked: list[str] = []

    async def refuse(_config: Upstream, target: str) -> None:
        asked.append(target)

    monkeypatch.setattr("healthd_deploy.nginx.able.refuse_dead", refuse)
    switch = UpstreamSwitch(upstream(tmp_path)).switch
    look = Rehearsal(upstream(tmp_path)).look
    for weight in (1.0, 100.0, 0.0):
        await switch("green", weight)
    assert asked == ["green", "green", "blue"]
    await switch("green", 25)
    told = await look("green", 50)
    assert told.startswith(
        "50 % of the traffic would go to green, which has 25 %; whether NGINX takes the file will be"
    )


async def test_nothing_is_released_to_a_target_that_has_a_part(tmp_path: Path) -> None:
    """Only what is there already."""
    config = {"service": "api", "gates": {"after": "gradual"}, "release": {"argv": ["false"]}}
    said = upstream(tmp_path).model_dump()
    platform = NginxPlatform(NginxConfig.model_validate({**config, "upstream": said}))
    file = UpstreamFile(upstream(tmp_path))
    switch = UpstreamSwitch(upstream(tmp_path)).switch
    await switch("blue", even_if_dead=True)
    file.noted("green", "2.0")
    await switch("green", 5, even_if_dead=True)
    await platform.release("green", "2.0")
    with pytest.raises(StepFailed, match="green has 5 % of the traffic: nothing may be released to it"):
        await platform.release("green", "2.1")


@pytest.mark.parametrize("failures", [2, 99])
async def test_the_way_back_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], failures: int
) -> None:
    """As healthd tries its own rollback again: NGINX may be restarted, or its configuration be edited, meanwhile. What
    failed until the end is told in one line."""
    monkeypatch.setattr("healthd_deploy.core.steps._FIRST_PAUSE", 0.02)
    await UpstreamSwitch(upstream(tmp_path)).switch("blue", even_if_dead=True)
    tried = tmp_path / "tried"
    broken = [
        "sh",
        "-c",
        f"echo x >> {tried}; [ $(wc -l < {tried}) -gt {failures} ] || {{ echo no brace >&2; exit 1; }}",
    ]
    said = upstream(tmp_path, test=broken).model_dump()
    platform = NginxPlatform(
        NginxConfig.model_validate({"service": "a", "release": {"argv": ["true"]}, "upstream": said})
    )

    def monotonic() -> float:
        """Each try takes five hundredths of a second: how long a shell takes to start is the machine's matter."""
        return 0.05 * tried.read_text().count("x") if tried.exists() else 0.0

    monkeypatch.setattr("healthd_deploy.core.steps.time", SimpleNamespace(monotonic=monotonic))
    steps = Steps(undo_within=5.0 if failures == 2 else 0.1)

    async def nothing() -> None:
        pass

    await steps.do("switch", nothing, undo=("put back", lambda: platform.take_back("blue")))
    left = await steps.unwind()
    assert list(left) == ([] if failures == 2 else ["put back: sh ended with 1: no brace"])
    assert "put back: tried again in 0.02 s" in capsys.readouterr().err


async def test_a_file_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    """A disk that is full for a moment ends no way back, and a file that is gone is written again."""
    said = upstream(tmp_path)
    await UpstreamSwitch(said).switch("blue", even_if_dead=True)
    await UpstreamSwitch(said).switch("green", 25, even_if_dead=True)
    before = (tmp_path / "api.conf").read_text()
    (tmp_path / ".api.conf.new").symlink_to("/dev/full")
    why = re.escape(f"{tmp_path}/api.conf cannot be written: No space left on device")
    async with await asyncio.start_server(answering, "127.0.0.1") as server:
        place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        answers = upstream(tmp_path, targets={**TARGETS, "blue": [place]}).model_dump()
        platform = NginxPlatform(
            NginxConfig.model_validate({"service": "a", "release": {"argv": ["true"]}, "upstream": answers})
        )
        with pytest.raises(NoAnswer, match=why):
            await platform.take_back("blue")
        assert (tmp_path / "api.conf").read_text() == before
        await platform.take_back("blue")
        assert UpstreamFile(said).read() == State("blue")
        (tmp_path / "api.conf").unlink()
        await platform.take_back("blue")
    assert UpstreamFile(said).read() == State("blue")


@pytest.mark.parametrize(
    ("name", "does"), [("api.conf", "read"), (".api.conf.lock", "written"), (".api.conf.new", "written")]
)
def test_a_place_that_is_no_file(tmp_path: Path, name: str, does: str) -> None:
    """Is told in a sentence."""
    (tmp_path / name).mkdir()
    (tmp_path / "deploy.yaml").write_text("upstream: " + upstream(tmp_path).model_dump_json())
    told = CliRunner().invoke(main, ["nginx", "switch", "blue", "-c", str(tmp_path / "deploy.yaml"), "--force"])
    place = name if name.endswith(".lock") else "api.conf"
    assert told.exit_code == 1
    assert told.output.startswith(f"{tmp_path}/{place} cannot be {does}: Is a directory"), told.output


async def test_nginx_finds_one_file_where_it_includes_the_whole_folder(tmp_path: Path) -> None:
    """As Debian's does with `sites-enabled/*`: it would read a lock too, and not start again."""
    await UpstreamSwitch(upstream(tmp_path)).switch("green", even_if_dead=True)
    assert UpstreamFile(upstream(tmp_path)).lock.exists()
    assert [file.name for file in tmp_path.iterdir() if not file.name.startswith(".")] == ["api.conf"]


async def test_a_version_is_noted_beside_the_servers_that_nginx_has(tmp_path: Path) -> None:
    """Those of a configuration that was changed since are NGINX's only once it has accepted them."""
    await UpstreamSwitch(upstream(tmp_path)).switch("green", even_if_dead=True)
    before = (tmp_path / "api.conf").read_text()
    changed = UpstreamFile(upstream(tmp_path, targets={"blue": ["nowhere:1"], "green": ["nowhere:2"]}))
    changed.noted("blue", "2.0")
    after = (tmp_path / "api.conf").read_text()
    assert (changed.read().versions, after.splitlines()[1:]) == ({"blue": "2.0"}, before.splitlines()[1:])


@pytest.mark.parametrize("words", [["blue-green", ""], ["blue-green", "2 0"], ["switch", "blue", "--version", ""]])
def test_a_version_that_is_none(tmp_path: Path, words: list[str]) -> None:
    """Such as a variable that is unset: nothing is looked at."""
    file = tmp_path / "deploy.yaml"
    file.write_text("")
    told = CliRunner().invoke(main, ["nginx", *words, "--config", str(file)])
    assert told.exit_code == 3
    assert "is the variable that holds it set?" in told.output or "'2 0' is no version" in told.output


async def test_what_nginx_refuses_is_taken_back(tmp_path: Path) -> None:
    """The file is as it was, and NGINX's own words are told."""
    await UpstreamSwitch(upstream(tmp_path)).switch("blue", even_if_dead=True)
    before = (tmp_path / "api.conf").read_text()
    refusing = upstream(tmp_path, test=["sh", "-c", "echo no such directive >&2; exit 1"])
    with pytest.raises(StepFailed, match="sh ended with 1: no such directive"):
        await UpstreamSwitch(refusing).switch("green", even_if_dead=True)
    assert (tmp_path / "api.conf").read_text() == before


@pytest.mark.parametrize(
    ("failures", "told"),
    [
        (1, "is as it was before, and NGINX is reloaded with it: nothing was switched"),
        (2, "is as it was before; NGINX could not be reloaded with it either"),
    ],
)
async def test_a_failed_reload_switches_nothing(tmp_path: Path, failures: int, told: str) -> None:
    """The file has its old content, from which the next deploy reads who is live, and NGINX is given it once more."""
    file, seen = tmp_path / "api.conf", tmp_path / "seen"
    await UpstreamSwitch(upstream(tmp_path)).switch("blue", even_if_dead=True)
    before = file.read_text()
    reload = (
        f"grep healthd-deploy {file} >> {seen}; [ $(wc -l < {seen}) -gt {failures} ] || {{ echo no pid >&2; exit 1; }}"
    )
    failing = UpstreamSwitch(upstream(tmp_path, reload=["sh", "-c", reload]))
    with pytest.raises(StepFailed, match=f"sh ended with 1: no pid. .*{told}"):
        await failing.switch("green", even_if_dead=True)
    assert file.read_text() == before
    assert [('"live": "green"' in line, '"live": "blue"' in line) for line in seen.read_text().splitlines()] == [
        (True, False),
        (False, True),
    ]


async def test_the_first_file_stays_though_nginx_does_not_run(tmp_path: Path) -> None:
    """NGINX, whose configuration includes it, could not start without it."""
    file = UpstreamFile(upstream(tmp_path, reload=["false"]))
    switch = UpstreamSwitch(upstream(tmp_path, reload=["false"])).switch
    with pytest.raises(StepFailed, match=r"api\.conf is written, for blue: NGINX has not loaded it: start NGINX"):
        await switch("blue", even_if_dead=True)
    assert file.read().live == "blue"


async def test_no_file_yet(tmp_path: Path) -> None:
    """The first refusal takes the file away again; reading says how to write the first one."""
    with pytest.raises(StepFailed, match="false ended with 1"):
        await UpstreamSwitch(upstream(tmp_path, test=["false"])).switch("blue", even_if_dead=True)
    with pytest.raises(StepFailed, match="`healthd-deploy nginx switch` writes the first one"):
        UpstreamFile(upstream(tmp_path)).read()


async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A target that is ill: it accepts connections, and answers 503."""
    await reader.readline()
    writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
    writer.close()


async def test_the_traffic_stays_where_it_is_when_the_target_is_dead(tmp_path: Path) -> None:
    """A version that fails some requests is better than one that is not there; one server that answers is enough."""
    async with await asyncio.start_server(answering, "127.0.0.1") as server:
        place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        switched = upstream(tmp_path, targets={"blue": ["127.0.0.1:1", f"unix:{tmp_path}/none"], "green": [place]})
        switch = UpstreamSwitch(switched).switch
        await switch("green")
        before = (tmp_path / "api.conf").read_text()
        with pytest.raises(TargetDown, match=r"blue cannot take the traffic \(127.0.0.1:1: .*none: "):
            await switch("blue")
        assert (tmp_path / "api.conf").read_text() == before
        both = upstream(tmp_path, targets={"blue": ["127.0.0.1:1", place], "green": ["127.0.0.1:2"]})
        await UpstreamSwitch(both).switch("blue")
        assert UpstreamFile(both).read().live == "blue"
        ill = upstream(tmp_path, targets={"blue": ["127.0.0.1:1"], "green": [place]}, health="/health")
        with pytest.raises(TargetDown, match="GET /health gave 503"):
            await UpstreamSwitch(ill).switch("green")


async def test_the_way_back_is_looked_at_before_a_switch(tmp_path: Path) -> None:
    """A dead target is found, and a configuration that is refused; what a script that tests does not tell is said."""
    async with await asyncio.start_server(answering, "127.0.0.1") as server:
        place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await UpstreamSwitch(upstream(tmp_path)).switch("blue", even_if_dead=True)
        before = (tmp_path / "api.conf").stat()
        with pytest.raises(TargetDown, match=r"blue cannot take the traffic \(127.0.0.1:1: "):
            await Rehearsal(upstream(tmp_path)).could_take_back("blue")
        targets = {**TARGETS, "blue": [place]}
        with pytest.raises(StepFailed, match="false ended with 1"):
            await Rehearsal(upstream(tmp_path, targets=targets, test=["false"])).could_take_back("blue")
        left = await Rehearsal(upstream(tmp_path, targets=targets)).could_take_back("blue")
        assert left is not None
        assert left.startswith("whether NGINX takes the file will be seen at the switch")
        assert (tmp_path / "api.conf").stat() == before


async def test_the_idle_target_is_looked_at_before_the_release(tmp_path: Path) -> None:
    """A port that is wrong is said before anything is released to it; the live target under another name is refused."""
    async with await asyncio.start_server(answering, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]

        def idle(*servers: str) -> NginxPlatform:
            said = upstream(tmp_path, targets={"blue": [f"127.0.0.1:{port}"], "green": servers})
            tool = {"service": "api", "upstream": said.model_dump(mode="json"), "release": {"argv": ["true"]}}
            return NginxPlatform(NginxConfig.model_validate_json(json.dumps(tool)))

        assert await idle("127.0.0.1:1").doubt_of_idle() is None  # no file yet
        await UpstreamSwitch(upstream(tmp_path)).switch("blue", even_if_dead=True)
        down = "green cannot take the traffic (127.0.0.1:1: Connection refused)"
        told = await idle("127.0.0.1:1").doubt_of_idle() or ""
        assert told.startswith(f"green does not answer, as a target that is not yet released to: {down}. If the rel")
        assert told.endswith("upstream.targets.green has the wrong addresses: set them right")
        UpstreamFile(upstream(tmp_path)).noted("green", "1.9")
        assert (await idle("127.0.0.1:1").doubt_of_idle() or "").startswith(
            "green, which has 1.9, does not answer, as "
        )
        async with await asyncio.start_server(answering, "127.0.0.1") as other:
            assert await idle(f"127.0.0.1:{other.sockets[0].getsockname()[1]}").doubt_of_idle() is None
        with pytest.raises(Misnamed, match=rf"targets\.green\.1: localhost:{port} is 127.0.0.1:{port} of blue under"):
            await idle("127.0.0.1:1", f"localhost:{port}").doubt_of_idle()


async def test_what_healthd_has_put_back_is_told_as_back(tmp_path: Path) -> None:
    """Whatever the tool's own file says of the target: NGINX has the traffic there, and loads that file."""
    loads = tmp_path / "loaded"
    await UpstreamSwitch(upstream(tmp_path)).switch("blue", even_if_dead=True)
    switch = UpstreamSwitch(
        upstream(tmp_path, targets={"blue": ["nowhere:1"], "green": ["a:1"]}, reload=["touch", str(loads)])
    ).switch
    before = (tmp_path / "api.conf").read_text()
    await switch("blue", goes_back=True)
    assert ((tmp_path / "api.conf").read_text(), loads.exists()) == (before, True)
    with pytest.raises(TargetDown):
        await switch("green", goes_back=True)


async def test_a_target_behind_a_socket(tmp_path: Path) -> None:
    """It is connected to where NGINX would."""
    async with await asyncio.start_unix_server(answering, tmp_path / "green.sock"):
        switch = UpstreamSwitch(
            upstream(tmp_path, targets={"blue": ["a:1"], "green": [f"unix:{tmp_path}/green.sock"]})
        ).switch
        look = Rehearsal(upstream(tmp_path, targets={"blue": ["a:1"], "green": [f"unix:{tmp_path}/green.sock"]})).look
        assert await look("green") == "the traffic would go from nothing to green"
        assert not (tmp_path / "api.conf").exists()
        await switch("green")
        assert await look("green") == "green has the traffic"


@pytest.mark.parametrize(
    ("server", "place"),
    [
        ("10.0.1.10:3000", ("10.0.1.10", "3000")),
        ("api.internal", ("api.internal", "80")),
        ("[::1]:3000", ("::1", "3000")),
        ("[::1]", ("::1", "80")),
    ],
)
def test_addresses_are_read_as_nginx_reads_them(server: str, place: tuple[str, str]) -> None:
    """With 80 for a port that is left out."""
    assert able.place_of(server) == place


def test_the_rollback_needs_no_token(tmp_path: Path) -> None:
    """healthd hands its own variables to no action, and the switch asks healthd nothing."""
    written = "healthd: {token: '${HEALTHD_TOKEN}'}\nupstream: " + upstream(tmp_path).model_dump_json()
    (tmp_path / "blue-green.yaml").write_text(written)
    words = ["nginx", "switch", "blue", "--config", str(tmp_path / "blue-green.yaml")]
    dead = CliRunner().invoke(main, words, env={"HEALTHD_TOKEN": None})
    assert (dead.exit_code, "blue cannot take the traffic" in dead.output) == (4, True)
    forced = CliRunner().invoke(main, [*words, "--force"], env={"HEALTHD_TOKEN": None})
    assert (forced.exit_code, forced.output) == (0, "the traffic goes to blue\n")
    named = CliRunner().invoke(main, [*words, "--force", "--version", "1.0"], env={"HEALTHD_TOKEN": None})
    assert named.exit_code == 0
    assert UpstreamFile(upstream(tmp_path)).read().versions == {"blue": "1.0"}


async def test_a_file_of_somebody_else(tmp_path: Path) -> None:
    """The upstream that a person wrote has the target whose servers it has; a switch replaces one of another. What has
    more than that upstream is never replaced."""
    api, file = tmp_path / "api.conf", UpstreamFile(upstream(tmp_path))
    switch = UpstreamSwitch(upstream(tmp_path)).switch
    api.write_text("# ours\nupstream api {\n    server 127.0.0.1:1 max_fails=0; # blue\n    keepalive 8;\n}\n")
    assert file.read() == State("blue")
    file.noted("green", "2.0")
    assert (file.read().versions, "\n# ours\nupstream api {" in api.read_text()) == ({"green": "2.0"}, True)
    other = "upstream api { server 127.0.0.1:9; }\n"
    api.write_text(other)
    with pytest.raises(StepFailed, match=r"none of the targets blue, green, only the servers 127\.0\.0\.1:9: `health"):
        file.read()
    await switch("green", version="1.0", even_if_dead=True)
    assert file.read() == State("green", {"green": "1.0"})
    for more in (f"{other}server {{ listen 1; }}\n", "upstream apis { server 127.0.0.1:1; }\n"):
        api.write_text(more)
        with pytest.raises(StepFailed, match=r"must have the upstream api alone, .* Move what it has"):
            await switch("green", even_if_dead=True)
        assert api.read_text() == more


@pytest.mark.parametrize(
    "first",
    [
        b"# healthd-deploy writes this file",
        b"# healthd-deploy [1]",
        b"# healthd-deploy []",
        b"# healthd-deploy null",
        b'# healthd-deploy {"versions": {}}',
        b'# healthd-deploy {"live": "green", "versions": null}',
        b'# healthd-deploy {"live": "green", "versions": {"green": 2}}',
        b'# healthd-deploy {"live": "green", "other": "5"}',
        b'# healthd-deploy {"live": ["green"]}',
        b"# gr\xfcn und blau, in Latin-1",
    ],
)
async def test_a_first_line_that_is_no_state(tmp_path: Path, first: bytes) -> None:
    """The file is a person's: its servers tell who is live, and a version is noted without a change of what they
    wrote."""
    written = first + b"\nupstream api { server 127.0.0.1:1; }\n"
    (tmp_path / "api.conf").write_bytes(written)
    file = UpstreamFile(upstream(tmp_path))
    assert (file.read(), file.line()) == (State("blue"), first.decode(errors="replace"))
    file.noted("green", "2.0")
    assert file.read() == State("blue", {"green": "2.0"})
    file.noted("green", "2.1")
    assert (tmp_path / "api.conf").read_bytes().partition(b"\n")[2] == written
    await UpstreamSwitch(upstream(tmp_path)).switch("green", even_if_dead=True)
    assert file.read() == State("green", {"green": "2.1"})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"targets": {"blue": ["a:1"]}}, "targets"),
        ({"targets": {**TARGETS, "red": ["a:1"]}}, "targets"),
        ({"targets": {"blue": ["a:1"], "green": ["b:1", "a:1"]}}, "targets"),
        ({"targets": {**TARGETS, "blue": ["a:1; include /etc/passwd"]}}, "targets.blue"),
        ({"targets": {**TARGETS, "blue": []}}, "targets.blue"),
        ({"options": ["keepalive 1; }"]}, "options"),
        ({"reload": []}, "reload"),
        ({"targets": {"blue": ["10.0.1.10:99999"], "green": ["10.0.1.11:3000"]}}, "targets.blue"),
        ({"targets": {"blue": ["http://10.0.1.10:3000"], "green": ["10.0.1.11:3000"]}}, "targets.blue"),
    ],
    ids=[
        "one target",
        "three targets",
        "one server for both",
        "a directive in an address",
        "no address",
        "a brace",
        "no program",
        "a port that cannot be",
        "an address as healthd's configuration has it",
    ],
)
def test_what_is_refused(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    """The field is named, and nothing that would change NGINX's configuration elsewhere gets in."""
    with pytest.raises(ValidationError) as refused:
        upstream(tmp_path, **changes)
    assert ".".join(map(str, refused.value.errors()[0]["loc"])).startswith(field)
