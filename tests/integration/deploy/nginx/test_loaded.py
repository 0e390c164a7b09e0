"""A real NGINX that would not take the file: it does not include it, or it does not run."""

import asyncio
import dataclasses
import json
import os
import re
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from click.testing import CliRunner

from healthd_deploy.cli import main
from healthd_deploy.core.exit import NothingSwitched, StepFailed
from healthd_deploy.nginx.in_force import AnotherInForce
from healthd_deploy.nginx.loaded import NotUsed, printing
from healthd_deploy.nginx.platform import NginxPlatform
from healthd_deploy.nginx.rehearsal import Rehearsal
from healthd_deploy.nginx.running import Master, is_over
from healthd_deploy.nginx.settings import NginxConfig, Upstream
from healthd_deploy.nginx.state import State
from healthd_deploy.nginx.switch import UpstreamSwitch
from healthd_deploy.nginx.upstream_file import UpstreamFile
from tests.fakes.names import NO_NAME
from tests.servers import nginx
from tests.servers.ports import HOST, held_port
from tests.servers.version import running as version_running
from tests.servers.waiting import until_now

_SERVER = "server { listen @LISTEN@; location / { proxy_pass http://api; } }"


def said(balancer: nginx.Nginx, folder: Path, place: str, timeout: str = "30s") -> dict[str, Any]:
    own = ["nginx", "-p", str(balancer.file.parent), "-c", str(balancer.file)]
    return {
        "file": str(folder / "api.conf"),
        "name": "api",
        "targets": {"blue": [place], "green": [f"{HOST}:2"]},
        "options": [],
        "test": [*own, "-t", "-q"],
        "reload": [*own, "-s", "reload"],
        "pid": str(balancer.file.parent / "pid"),
        "timeout": timeout,
    }


def upstream(balancer: nginx.Nginx, folder: Path, place: str, timeout: str = "30s") -> Upstream:
    return Upstream.model_validate_json(json.dumps(said(balancer, folder, place, timeout)))


def asked(config: Upstream) -> list[Callable[[str], Awaitable[object]]]:
    """A switch, and the two that look whether one would work."""
    rehearsal = Rehearsal(config)
    return [UpstreamSwitch(config).switch, rehearsal.look, rehearsal.could_take_back]


async def test_a_file_that_nothing_includes(tmp_path: Path) -> None:
    """Neither the first one, which does not stay, nor one whose line has gone since: the line to add is told."""
    told = (
        f"does not include {tmp_path}/api.conf, so that nothing would be switched: add `include {tmp_path}/api.conf;`"
    )
    with version_running("1.0") as old, nginx.running("server { listen @LISTEN@; return 200 hello; }") as balancer:
        config = upstream(balancer, tmp_path, f"{old.host}:{old.port}")
        with pytest.raises(StepFailed, match=told):
            await Rehearsal(config).look("blue")
        with pytest.raises(StepFailed, match=told):
            await UpstreamSwitch(config).switch("blue")
        assert not (tmp_path / "api.conf").exists()
        (tmp_path / "api.conf").write_text("")
        text = balancer.file.read_text()
        used = f"include {tmp_path}/api.conf; server {{ location /api/ {{ proxy_pass http://api; }}"
        balancer.file.write_text(text.replace("server {", used))
        (tmp_path / "api.conf").unlink()
        assert await Rehearsal(config).look("blue") == "the traffic would go from nothing to blue"
        await UpstreamSwitch(config).switch("blue")
        assert await Rehearsal(config).look("blue") == "blue has the traffic"
        await Rehearsal(config).could_take_back("blue")
        balancer.file.write_text(text)
        before = (tmp_path / "api.conf").read_text()
        for ask in asked(config):
            with pytest.raises(StepFailed, match=told):
                await ask("blue")
        assert (tmp_path / "api.conf").read_text() == before


async def test_a_file_that_a_person_wrote(tmp_path: Path) -> None:
    """NGINX has it, since it would not start without: a dry run, a switch and a deploy take it as what it is."""
    with version_running("1.0") as old:
        place = f"{old.host}:{old.port}"
        for servers, told in ((place, "blue has the traffic"), (f"{HOST}:3", "would go from no target to blue")):
            (tmp_path / "api.conf").write_text(f"upstream api {{ server {servers}; }}")
            with nginx.running(f"include {tmp_path}/api.conf; {_SERVER}") as balancer:
                config = upstream(balancer, tmp_path, place)
                assert (await Rehearsal(config).look("blue")).endswith(told)
                if servers == place:
                    await Rehearsal(config).could_take_back("blue")
                await UpstreamSwitch(config).switch("blue", version="1.0")
                assert UpstreamFile(config).read() == State("blue", {"blue": "1.0"})


async def test_an_nginx_that_is_stopped(tmp_path: Path) -> None:
    """Asked beforehand or not, by a file that it left behind or none; its first file stays, for it needs it to
    start."""
    with version_running("1.0") as old:
        (tmp_path / "api.conf").write_text(f"upstream api {{ server {old.host}:{old.port}; }}\n")
        with nginx.running(f"include {tmp_path}/api.conf; {_SERVER}") as balancer:
            config = upstream(balancer, tmp_path, f"{old.host}:{old.port}")
            (tmp_path / "api.conf").unlink()
            await UpstreamSwitch(config).switch("blue")
            pid = balancer.file.parent / "pid"
            balancer.process.kill()
            for left in (None, "999999999"):
                pid.unlink(missing_ok=True)
                if left is not None:
                    pid.write_text(left)
                before = (tmp_path / "api.conf").read_text()
                for ask in asked(config):
                    with pytest.raises(StepFailed, match=r"NGINX is not running .*: start it; nothing is switched"):
                        await ask("blue")
                assert (tmp_path / "api.conf").read_text() == before
            (tmp_path / "api.conf").unlink()
            with pytest.raises(StepFailed, match=r"is written, for blue: NGINX is not running .*: start it"):
                await UpstreamSwitch(config).switch("blue")
            assert UpstreamFile(config).read().live == "blue"


def test_the_way_back_of_an_nginx_that_is_stopped(tmp_path: Path) -> None:
    """Whoever starts it must not give the traffic to the version that failed: the file leads back, if NGINX accepts it.
    Neither a new version nor a step of a ramp is written."""
    api = tmp_path / "api.conf"
    with version_running("1.0") as blue, version_running("2.0") as green:
        bad = f'# healthd-deploy {{"live": "green"}}\nupstream api {{ server {green.host}:{green.port}; }}\n'
        api.write_text(bad)
        with nginx.running(f"include {api}; {_SERVER}") as balancer:
            place = f"{blue.host}:{blue.port}"
            config = upstream(balancer, tmp_path, place)
            (settings := tmp_path / "tool.yaml").write_text(json.dumps({"upstream": said(balancer, tmp_path, place)}))
            options = {"service": "api", "upstream": said(balancer, tmp_path, place), "release": {"argv": ["true"]}}
            strayed = NginxPlatform(NginxConfig.model_validate_json(json.dumps(options))).strayed
            assert asyncio.run(strayed("green")) is None
            assert f"{api} gives blue 0 % of the traffic" in str(asyncio.run(strayed("blue")))
            assert (lost := asyncio.run(strayed("green", 0.25))) is not None
            assert lost.told.endswith("100 % of the traffic: who wrote it? Its ramp ordered 25 %")
            os.kill(balancer.process.pid, signal.SIGKILL)
            until_now(lambda: is_over(balancer.process.pid), "the end of the master")
            lost = asyncio.run(strayed("green"))
            assert lost is not None
            told = r"NGINX is not running .*, and its workers go on serving .*: end them \(`kill (\d+)`\), and start it"
            workers = re.search(told, lost.told)
            assert workers is not None, lost.told
            with urlopen(balancer.url) as answer:
                assert answer.status == 200
            os.kill(int(workers[1]), signal.SIGTERM)
            until_now(lambda: is_over(int(workers[1])), "the end of the worker")
            balancer.process.kill()
            assert "NGINX is not running" in str(asyncio.run(strayed("green")))
            words = ["nginx", "switch", "-c", str(settings), "blue"]
            ramp = CliRunner().invoke(main, [*words, "--weight", "5"])
            assert (ramp.exit_code, "nothing is switched" in ramp.output) == (1, True)
            with pytest.raises(NothingSwitched, match="start it; nothing is switched"):
                asyncio.run(UpstreamSwitch(config).switch("blue"))
            right = balancer.file.read_text()
            balancer.file.write_text(right.replace("access_log", "no_such_log"))
            assert CliRunner().invoke(main, words).exit_code == 1
            assert api.read_text() == bad
            balancer.file.write_text(right)
            told = rf"NGINX is not running .*: start it\. {api} leads to blue, which has the traffic from then on"
            action = CliRunner().invoke(main, words)
            assert (action.exit_code, bool(re.search(told, action.output))) == (1, True)
            assert UpstreamFile(config).read().live == "blue"
            api.write_text(bad)
            for _ in range(2):  # also where healthd's own action has written it before
                with pytest.raises(StepFailed, match=told):
                    asyncio.run(UpstreamSwitch(config).switch("blue", goes_back=True))
                assert UpstreamFile(config).read().live == "blue"


async def test_a_reload_that_is_not_taken_names_the_error_log(tmp_path: Path) -> None:
    """There NGINX says why: it tells nobody else."""
    with version_running("1.0") as old, held_port() as taken:
        place = f"{old.host}:{old.port}"
        (tmp_path / "api.conf").write_text(
            f'# healthd-deploy {{"live": "green"}}\nupstream api {{ server {place}; }}\n'
        )
        with nginx.running(f"include {tmp_path}/api.conf; {_SERVER}") as balancer:
            text = balancer.file.read_text().replace("server {", f"server {{ listen {HOST}:{taken};")
            balancer.file.write_text(text.replace("error_log stderr;", f"error_log {tmp_path}/error.log;"))
            with pytest.raises(StepFailed, match=f"its error log {tmp_path}/error.log says why"):
                await UpstreamSwitch(upstream(balancer, tmp_path, place, "1s")).switch("blue")


async def test_an_nginx_that_runs_with_another_file(tmp_path: Path) -> None:
    """A reload reads the file that NGINX was started with, whatever the command names: both names are told."""
    with version_running("1.0") as old, nginx.running("server { listen @LISTEN@; return 200 old; }") as balancer:
        named = balancer.file.with_name("named.conf")
        text = balancer.file.read_text()
        used = f"include {tmp_path}/api.conf; server {{ location /api/ {{ proxy_pass http://api; }}"
        named.write_text(text.replace("server {", used))
        place = f"{old.host}:{old.port}"
        written = f'# healthd-deploy {{"live": "blue"}}\nupstream api {{ server {place}; }}\n'
        told = (
            f"runs with {balancer.file}, but upstream.test checks {named}, so that nothing would be switched: "
            f"name `-c {balancer.file}`"
        )
        for before in (None, written):
            if before is not None:
                (tmp_path / "api.conf").write_text(before)
            config = upstream(dataclasses.replace(balancer, file=named), tmp_path, place)
            for ask in asked(config)[: 1 if before is None else None]:
                with pytest.raises(AnotherInForce, match=told):
                    await ask("blue")
            assert ((tmp_path / "api.conf").read_text() if before else None) == before
        balancer.file.write_text(named.read_text())
        named.unlink()
        named.symlink_to(balancer.file)
        assert await Rehearsal(config).look("blue") == "blue has the traffic"


@pytest.mark.parametrize(
    ("location", "used"),
    [
        ("proxy_pass http://127.0.0.1:1;", False),
        ("return 200 x; # proxy_pass http://api;", False),
        ("proxy_pass http://apis;", False),
        ("set $to api; proxy_pass http://$to;", True),
        ("proxy_pass http://API/v1/;", True),
        ("fastcgi_pass\n api;", True),
        ("grpc_pass grpc://api;", True),
        ('uwsgi_pass "api";', True),
    ],
)
async def test_an_upstream_that_nothing_uses(tmp_path: Path, location: str, *, used: bool) -> None:
    """The line to write is told; where a variable says where requests go, it is not known."""
    apis = f"upstream apis {{ server {HOST}:1; }}"
    server = f"{apis} server {{ listen @LISTEN@; location / {{ {location}\n }} }}"
    with version_running("1.0") as old:
        place = f"{old.host}:{old.port}"
        (tmp_path / "api.conf").write_text(f'# healthd-deploy {{"live": "blue"}}\nupstream api {{ server {place}; }}\n')
        with nginx.running(f"include {tmp_path}/api.conf; {server}") as balancer:
            config = upstream(balancer, tmp_path, place)
            if used:
                await Rehearsal(config).could_take_back("blue")
                assert await Rehearsal(config).look("blue") == "blue has the traffic"
                return
            for ask in asked(config):
                with pytest.raises(
                    NotUsed, match=r"sends requests to the upstream api.*: write `proxy_pass http://api"
                ):
                    await ask("blue")


@pytest.mark.parametrize(
    ("words", "built", "file"),
    [
        ("-c /etc/boot.conf", {}, "/etc/boot.conf"),
        ("-qc boot.conf -g daemon on; master_process on;", {"prefix": "/etc"}, "/etc/boot.conf"),
        ("-p /etc/ -cboot.conf -e stderr", {"prefix": "/usr"}, "/etc/boot.conf"),
        ("-p . -c boot.conf", {}, "/home/boot.conf"),
        ("-g daemon off;", {"prefix": "/usr", "conf-path": "/etc/boot.conf"}, "/etc/boot.conf"),
        ("", {"prefix": "/etc", "conf-path": "boot.conf"}, "/etc/boot.conf"),
        ("-c boot.conf", {}, None),
        ("-g daemon off;", {}, None),
        ("-c /etc/boot.co", {}, None),
    ],
)
def test_the_file_of_a_command_line(tmp_path: Path, words: str, built: dict[str, str], file: str | None) -> None:
    """As NGINX reads its options and the paths that it was built with; no word where the file is not here."""
    here = {place: f"{tmp_path}{place}" for place in ("/etc", "/usr", "/home")}
    for folder in here.values():
        Path(folder).mkdir()
        (Path(folder) / "boot.conf").touch()
    words = words.replace("/etc", here["/etc"])
    paths = {option: path.replace("/etc", here["/etc"]).replace("/usr", here["/usr"]) for option, path in built.items()}
    found = Master(words.split(), Path(here["/home"])).file(paths)
    assert found == (None if file is None else Path(f"{tmp_path}{file}"))


def test_a_file_in_a_folder_of_another_user_is_not_known(tmp_path: Path) -> None:
    """It is no fault of the deploy that it may not be looked at."""
    (tmp_path / "boot.conf").touch()
    tmp_path.chmod(0)
    nobody = 65_534
    itself = os.geteuid()
    try:
        if itself == 0:
            os.seteuid(nobody)
        with pytest.raises(PermissionError):
            (tmp_path / "boot.conf").stat()
        assert Master(["-c", f"{tmp_path}/boot.conf"], Path("/")).file({}) is None
    finally:
        os.seteuid(itself)
        tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    ("test", "prints"),
    [
        (["nginx", "-t", "-q"], ["nginx", "-T", "-q"]),
        (
            ["docker", "exec", "-t", "web", "/usr/sbin/nginx", "-t"],
            ["docker", "exec", "-t", "web", "/usr/sbin/nginx", "-T"],
        ),
        (["true"], None),
        (["check-nginx", "-t"], None),
    ],
    ids=["nginx", "in a container", "something else", "a script"],
)
def test_the_configuration_is_printed_by_what_tests_it(test: list[str], prints: list[str] | None) -> None:
    assert printing(test) == prints


async def test_an_upstream_that_a_stopped_nginx_does_not_find(tmp_path: Path) -> None:
    """NGINX's own words name the upstream alone: the line to add is told with them."""
    name = NO_NAME.partition(".")[0]  # else a name server might know a host of that name
    (tmp_path / "api.conf").write_text(
        f'# healthd-deploy {{"live": "green"}}\nupstream {name} {{ server 127.0.0.1:2; }}\n'
    )
    with version_running("1.0") as old, nginx.running("server { listen @LISTEN@; return 200 hello; }") as balancer:
        config = upstream(balancer, tmp_path, f"{old.host}:{old.port}").model_copy(update={"name": name})
        balancer.process.kill()
        text = balancer.file.read_text()
        balancer.file.write_text(text.replace("return 200 hello;", f"location / {{ proxy_pass http://{name}; }}"))
        cure = f"host not found in upstream .*: add `include {tmp_path}/api.conf;` to its http block"
        with pytest.raises(NothingSwitched, match=cure):
            await UpstreamSwitch(config).switch("blue", even_if_stopped=True)
        with pytest.raises(StepFailed, match=cure):
            await Rehearsal(config).look("blue")
