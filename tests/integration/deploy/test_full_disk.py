"""A disk that is full takes no way back away: room for it is kept before a version gets any traffic."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from healthd.runtime.whole_file import keep_room, replace_file
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.nginx.platform import NginxPlatform
from healthd_deploy.nginx.rehearsal import Rehearsal
from healthd_deploy.nginx.settings import NginxConfig
from healthd_deploy.nginx.switch import UpstreamSwitch
from healthd_deploy.nginx.upstream_file import UpstreamFile
from healthd_gates.actions.traefik_file import WeightsFile
from tests.servers import nginx, tmpfs
from tests.servers.tmpfs import Tmpfs


@pytest.fixture
def disk() -> Iterator[Tmpfs]:
    with tmpfs.mounted("64k") as disk:
        yield disk


@pytest.fixture
async def config(disk: Tmpfs) -> AsyncIterator[NginxConfig]:
    """Targets that answer, with all of the traffic at blue, by a tool that has kept no room."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with (
        await asyncio.start_server(answer, "127.0.0.1") as one,
        await asyncio.start_server(answer, "127.0.0.1") as other,
    ):
        ports = [server.sockets[0].getsockname()[1] for server in (one, other)]
        targets = {name: [f"127.0.0.1:{port}"] for name, port in zip(("blue", "green"), ports, strict=True)}
        upstream = {"file": disk.path / "api.conf", "name": "api", "targets": targets, "pid": disk.path / "pid"}
        upstream |= {"test": ["true"], "reload": ["true"]}
        config = NginxConfig.model_validate(
            {"service": "api", "release": {"argv": ["true"]}, "upstream": upstream}, context={}
        )
        await UpstreamSwitch(config.upstream).switch("blue", version="1.0")
        yield config


def live(config: NginxConfig) -> str:
    return UpstreamFile(config.upstream).read().live


@pytest.mark.parametrize("by", ["the tool", "healthd's action"])
@pytest.mark.parametrize("inodes", [False, True])
async def test_the_traffic_goes_back_on_a_full_disk(disk: Tmpfs, config: NginxConfig, by: str, inodes: bool) -> None:
    """By the tool and by the command that healthd runs; and the next deploy keeps room again."""
    platform = NginxPlatform(config)
    for _ in range(2):
        await platform.release("green", "2.0")
        await platform.switch("green")
        disk.fill_inodes() if inodes else disk.fill()
        if by == "the tool":
            await platform.take_back("blue")
        else:
            await UpstreamSwitch(config.upstream).switch("blue")
        assert live(config) == "blue"
        disk.empty()
    assert await platform.version("green") == "2.0"


async def test_a_disk_that_is_full_before_a_deploy_is_told_before_the_release(disk: Tmpfs, config: NginxConfig) -> None:
    """By the look at the way back, which a dry run makes too and leaves nothing of; and one that the release fills
    leaves the traffic where it is."""
    before = sorted(disk.path.iterdir())
    await Rehearsal(config.upstream).could_take_back("blue")
    assert sorted(disk.path.iterdir()) == before
    disk.fill()
    with pytest.raises(StepFailed, match=r"api\.conf could not be written: No space left on device"):
        await Rehearsal(config.upstream).could_take_back("blue")
    with pytest.raises(StepFailed, match=r"no room can be kept for the way back beside .*: No space left on device"):
        await NginxPlatform(config).release("green", "2.0")
    assert live(config) == "blue"
    disk.empty()
    argv = ["sh", "-c", f"dd if=/dev/zero of={disk.path}/filler bs=4k 2>/dev/null; true"]
    fills = config.model_copy(update={"release": config.release.model_copy(update={"argv": argv})})
    with pytest.raises(StepFailed, match=r"api\.conf cannot be written: No space left on device"):
        await NginxPlatform(fills).release("green", "2.0")
    assert live(config) == "blue"
    with pytest.raises(StepFailed, match=r"api\.conf cannot be written: No space left on device"):
        await NginxPlatform(config).switch("green")
    assert live(config) == "blue"


async def test_the_weights_of_traefik_go_back_on_a_full_disk(disk: Tmpfs) -> None:
    """What goes on to a version needs the disk, and never takes the room."""
    file = WeightsFile(disk.path / "weights.yml", "web")
    await file.write({"blue": 100, "green": 0})
    await file.refuse_full()
    disk.fill()
    with pytest.raises(OSError, match="No space left on device"):
        await file.refuse_full()
    with pytest.raises(OSError, match="No space left on device"):
        await file.write({"blue": 0, "green": 100})
    disk.empty()
    await file.write({"blue": 0, "green": 100})
    disk.fill()
    await file.write({"blue": 100, "green": 0}, goes_back=True)
    assert (await file.read()).weights == {"blue": 100.0, "green": 0.0}


def test_nginx_includes_nothing_of_the_room(tmp_path: Path) -> None:
    """Where it includes whatever is in the folder, as Debian's does: it would not start again."""
    file = tmp_path / "sites" / "api.conf"
    file.parent.mkdir()
    keep_room(file, 100)
    replace_file(file, b"upstream api { server 127.0.0.1:1; }")
    replace_file(file, b"upstream api { server 127.0.0.1:2; }", unless=lambda: True)  # as of a tool that was killed
    with nginx.running(f"include {file.parent}/*; server {{ listen @LISTEN@; }}"):
        pass
    assert sorted(each.name[0] for each in file.parent.iterdir()) == [".", ".", "a"]


def test_room_is_not_left_half_kept(disk: Tmpfs) -> None:
    """A file that was there stays as it was."""
    file: Path = disk.path / "a.conf"
    file.write_bytes(b"before")
    disk.fill()
    with pytest.raises(OSError, match="No space"):
        keep_room(file, 10_000)
    assert sorted(each.name for each in disk.path.iterdir()) == ["a.conf", "filler"]
