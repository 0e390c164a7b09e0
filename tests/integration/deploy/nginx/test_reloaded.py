"""A reload of a real NGINX: over when its new workers alone take connections, failed where it keeps the old ones."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from healthd_deploy.core.exit import NothingSwitched, StepFailed
from healthd_deploy.nginx import directives
from healthd_deploy.nginx.platform import NginxPlatform
from healthd_deploy.nginx.reloaded import patience, workers
from healthd_deploy.nginx.settings import NginxConfig, Upstream
from healthd_deploy.nginx.switch import UpstreamSwitch
from healthd_deploy.nginx.upstream_file import UpstreamFile
from tests.servers import nginx
from tests.servers.ports import HOST, held_port
from tests.servers.waiting import until

_HTTP = "server { listen @LISTEN@; return 200 one; }"


def switched(balancer: nginx.Nginx, folder: Path, **changes: str) -> UpstreamSwitch:
    return UpstreamSwitch(upstream(balancer, folder, **changes))


def upstream(balancer: nginx.Nginx, folder: Path, **changes: str) -> Upstream:
    own = ["nginx", "-e", "stderr", "-p", str(balancer.file.parent), "-c", str(balancer.file)]
    said = {
        "file": str(folder / "api.conf"),
        "name": "api",
        "targets": {"blue": [f"{HOST}:1"], "green": [f"{HOST}:2"]},
        "test": ["true"],
        "reload": [*own, "-s", "reload"],
        "pid": str(balancer.file.parent / "pid"),
        **changes,
    }
    return Upstream.model_validate_json(json.dumps(said))


@asynccontextmanager
async def hanging(balancer: nginx.Nginx) -> AsyncIterator[psutil.Process]:
    """The worker of a balancer, which does nothing meanwhile."""
    pid = balancer.file.parent / "pid"
    await until(lambda: workers(pid) is not None, "the worker")
    seen = workers(pid)
    assert seen is not None
    (worker,) = (psutil.Process(pid) for pid in seen.started)
    worker.suspend()
    try:
        yield worker
    finally:
        worker.resume()


async def test_the_switch_waits_for_an_old_worker(tmp_path: Path) -> None:
    """One that has not yet heard that it is to shut down would send requests to the old target."""
    with nginx.running(_HTTP) as balancer:
        async with hanging(balancer) as old:
            switch = asyncio.create_task(switched(balancer, tmp_path).switch("green", even_if_dead=True))
            master = old.parent()
            assert master is not None
            await until(lambda: len(master.children()) == 2, "the new worker")
            await asyncio.sleep(0.2)
            assert not switch.done()
        await switch
        now = workers(balancer.file.parent / "pid")
        assert now is not None
        assert old.pid not in now.started


async def test_nothing_is_released_to_the_target_that_nginx_still_has(tmp_path: Path) -> None:
    """The file leads to green since a tool was killed before its reload: the idle target is not blue. A version that is
    noted needs no reload, and whoever reloads NGINX has it load the file."""
    with nginx.running(_HTTP) as balancer:
        config = upstream(balancer, tmp_path)
        deploys = NginxPlatform(
            NginxConfig.model_validate({"service": "api", "upstream": config, "release": {"argv": ["true"]}})
        )
        await until(lambda: workers(config.pid) is not None, "the worker")
        await UpstreamSwitch(config).switch("blue", even_if_dead=True)
        await deploys.release("green", "2.0")
        await deploys.release("green", "2.1")
        file = UpstreamFile(config)
        with file.locked():
            file.replace(directives.written(config, replace(file.read(), live="green")))
        with pytest.raises(
            StepFailed, match=r"api\.conf leads to green, and NGINX has not loaded it, so that blue has"
        ):
            await deploys.release("blue", "2.2")
        assert file.read().versions == {"green": "2.1"}
        await UpstreamSwitch(config).switch("green", even_if_dead=True)
        await deploys.release("blue", "2.2")


async def test_a_file_that_a_person_edited_gives_the_traffic_to_whom_it_did(tmp_path: Path) -> None:
    """Not loaded yet, it has NGINX give the idle target nothing all the same: a release goes on."""
    with nginx.running(_HTTP) as balancer:
        config = upstream(balancer, tmp_path)
        deploys = NginxPlatform(
            NginxConfig.model_validate({"service": "api", "upstream": config, "release": {"argv": ["true"]}})
        )
        await until(lambda: workers(config.pid) is not None, "the worker")
        await UpstreamSwitch(config).switch("blue", even_if_dead=True)
        config.file.write_text(f"# Ask Ann before you change this.\n{config.file.read_text()}")
        await deploys.release("green", "2.0")
        with UpstreamFile(config).locked():
            config.file.write_text(config.file.read_text().replace('"live": "blue"', '"live": "green"'))
        with pytest.raises(StepFailed, match=r"so that blue has 100 % of the traffic: a tool was killed"):
            await deploys.release("blue", "2.1")


async def test_a_reload_that_never_works_has_switched_nothing(tmp_path: Path) -> None:
    """The way back ends at once: there is nothing to take back, and nothing to try again for minutes."""
    with nginx.running(_HTTP) as balancer:
        config = upstream(balancer, tmp_path)
        await until(lambda: workers(config.pid) is not None, "the worker")
        await UpstreamSwitch(config).switch("blue", even_if_dead=True)
        before = (tmp_path / "api.conf").read_bytes()
        asked = tmp_path / "asked"
        failing = ["sh", "-c", f"echo >>{asked}; echo no right >&2; exit 1"]
        broken = UpstreamSwitch(config.model_copy(update={"reload": failing, "timeout": 0.5}))
        with pytest.raises(NothingSwitched, match=r"sh ended with 1: no right\. .*the reload does nothing, and"):
            await broken.switch("green", even_if_dead=True)
        await broken.switch("blue", goes_back=True)
        assert ((tmp_path / "api.conf").read_bytes(), len(asked.read_text())) == (before, 2)


async def test_what_nginx_never_loaded_is_taken_back_without_a_reload(tmp_path: Path) -> None:
    """A tool was killed before its reload, and whoever runs it again may not reload: the file leads back nevertheless,
    for a reload by somebody else would give the traffic to a version that nobody has judged."""
    with nginx.running(_HTTP) as balancer:
        config = upstream(balancer, tmp_path)
        await until(lambda: workers(config.pid) is not None, "the worker")
        await UpstreamSwitch(config).switch("blue", even_if_dead=True)
        file = UpstreamFile(config)
        with file.locked():
            file.replace(directives.written(config, replace(file.read(), live="green")))
        broken = UpstreamSwitch(config.model_copy(update={"reload": ["false"], "timeout": 0.5}))
        with pytest.raises(NothingSwitched, match=r"the reload does nothing"):
            await broken.switch("green", even_if_dead=True)
        await broken.switch("blue", goes_back=True, even_if_dead=True)
        assert file.read().live == "blue"


async def test_a_worker_that_hangs_is_no_failed_reload(tmp_path: Path) -> None:
    """The others have the configuration; one that does nothing takes no connection either."""
    with nginx.running(_HTTP) as balancer:
        async with hanging(balancer):
            await switched(balancer, tmp_path, timeout="3s").switch("green", even_if_dead=True)


async def test_a_configuration_that_is_not_taken(tmp_path: Path) -> None:
    """`nginx -s reload` ends well where the master then cannot bind an address: nothing was switched."""
    with nginx.running(_HTTP) as balancer, held_port() as taken:
        text = balancer.file.read_text()
        balancer.file.write_text(text.replace("server {", f"server {{ listen {HOST}:{taken};"))
        await switched(balancer, tmp_path, pid=str(tmp_path / "none")).switch("blue", even_if_dead=True)
        before = (tmp_path / "api.conf").read_text()
        file = switched(balancer, tmp_path, timeout="300ms")
        told = (
            r"has its old workers 0\.3 s after the reload: it has not taken .* as it was before: nothing was switched"
        )
        with pytest.raises(StepFailed, match=told):
            await file.switch("green", even_if_dead=True)
        assert (tmp_path / "api.conf").read_text() == before
        await file.switch("blue", even_if_dead=True)  # the way back, which asks no NGINX that is where it was


async def test_what_nginx_has_is_not_loaded_again(tmp_path: Path) -> None:
    """As by the tool after healthd's own rollback, which is a process of its own. Workers that were not seen to take it
    are reloaded."""
    with nginx.running(_HTTP) as balancer:
        pid = balancer.file.parent / "pid"
        await until(lambda: workers(pid) is not None, "the worker")
        for target in ("blue", "green"):
            await switched(balancer, tmp_path).switch(target, even_if_dead=True)
        await switched(balancer, tmp_path).switch("blue", even_if_dead=True)
        back = workers(pid)
        assert back is not None
        for _ in range(2):
            await switched(balancer, tmp_path).switch("blue", goes_back=True)
            assert workers(pid) == back
        (worker,) = map(psutil.Process, back.started)
        worker.kill()
        await until(lambda: workers(pid) not in (None, back), "another worker")
        respawned = workers(pid)
        await switched(balancer, tmp_path).switch("blue", goes_back=True)
        assert workers(pid) != respawned


def test_the_time_that_a_reload_is_given() -> None:
    """NGINX reads its configuration as for the test, and then starts its workers."""
    assert [patience(took, 30.0) for took in (0.05, 2.0, 20.0)] == [10.0, 20.0, 30.0]
    assert patience(0.1, 2.0) == 2.0


async def test_an_nginx_that_is_not_seen(tmp_path: Path) -> None:
    """Without its file there is nothing to wait for: the reload command's end is all that is known."""
    with nginx.running(_HTTP) as balancer:
        for pid in (str(tmp_path / "none"), str(balancer.file)):
            await switched(balancer, tmp_path, pid=pid).switch("green", even_if_dead=True)
