"""Archives: the right one or none, and no way out of the folder."""

import hashlib
import io
import json
import os
import stat
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from healthd_deploy.core.exit import StepFailed
from healthd_deploy.host import archive
from healthd_deploy.host.settings import Source
from tests.servers import proxy

PACKAGE = {"package.json": '{"name": "shop", "version": "1.0"}', "package-lock.json": "{}"}
_MIB = 1024**2


_FILTERS = ["of its own", "of 3.11.2"] if sys.version_info < (3, 14) else ["of its own"]


@pytest.fixture(params=_FILTERS, autouse=True)
def filters(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test unpacks with the filters of this Python's tarfile, and as a Python that has none. From 3.14 on tarfile
    itself cannot do without them."""
    if request.param == "of 3.11.2":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)


def packed(
    file: Path, content: dict[str, str], top: str = "package/", change: Callable[[tarfile.TarFile], None] | None = None
) -> Path:
    with tarfile.open(file, "w:gz") as tar:
        for name, text in content.items():
            member = tarfile.TarInfo(top + name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
        if change:
            change(tar)
    return file


def unpacked(archived: Path, at_most: int = _MIB) -> Path:
    into = archived.with_name("release")
    into.mkdir()
    archive.unpack(archived, into, at_most)
    return into


@pytest.mark.parametrize("top", ["", "package/", "shop-1.0/"])
def test_an_archive_is_unpacked(tmp_path: Path, top: str) -> None:
    """With a single folder at its top, or none."""
    into = unpacked(packed(tmp_path / "a.tar.gz", {**PACKAGE, "src/server.js": "x"}, top))
    assert (into / "src" / "server.js").read_text() == "x"
    assert (into / "package.json").is_file()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.tar.gz", "release"]


@pytest.mark.parametrize(("mode", "left"), [(0o644, 0o644), (0o4777, 0o755), (0o000, 0o600), (0o666, 0o644)])
def test_others_may_not_write_and_nothing_runs_as_another(tmp_path: Path, mode: int, left: int) -> None:
    """Whatever the archive asks for; it belongs to who deploys."""

    def change(tar: tarfile.TarFile) -> None:
        member = tarfile.TarInfo("package/run")
        member.mode, member.uid, member.gid = mode, 4242, 4242
        tar.addfile(member)

    run = unpacked(packed(tmp_path / "a.tar.gz", PACKAGE, change=change)) / "run"
    assert stat.S_IMODE(run.stat().st_mode) == left
    assert run.stat().st_uid == os.geteuid()


def _link(kind: bytes, target: str) -> Callable[[tarfile.TarFile], None]:
    def change(tar: tarfile.TarFile) -> None:
        member = tarfile.TarInfo("package/way-out")
        member.type, member.linkname = kind, target
        tar.addfile(member)

    return change


@pytest.mark.parametrize(
    "change",
    [
        _link(tarfile.SYMTYPE, "/etc"),
        _link(tarfile.SYMTYPE, "package.json"),
        _link(tarfile.LNKTYPE, "../outside"),
        _link(tarfile.CHRTYPE, ""),
        _link(tarfile.FIFOTYPE, ""),
    ],
)
def test_links_and_devices_are_refused(tmp_path: Path, change: Callable[[tarfile.TarFile], None]) -> None:
    """They are what ways out of a folder are made of; what `npm pack` makes has none."""
    with pytest.raises(StepFailed, match="neither a file nor a folder"):
        unpacked(packed(tmp_path / "a.tar.gz", PACKAGE, change=change))


@pytest.mark.parametrize("name", ["../outside", "package/../../outside"])
def test_nothing_is_written_outside(tmp_path: Path, name: str) -> None:
    """A name that leads out is refused."""
    with pytest.raises(StepFailed, match="is refused"):
        unpacked(packed(tmp_path / "a.tar.gz", {**PACKAGE, name: "x"}, top=""))
    assert not (tmp_path / "outside").exists()


def test_an_absolute_name_stays_inside(tmp_path: Path) -> None:
    """As tar itself does: the leading slash is left out."""
    into = unpacked(packed(tmp_path / "a.tar.gz", {**PACKAGE, "/etc/x": "x"}, top=""))
    assert (into / "etc" / "x").read_text() == "x"


def test_more_than_it_may_be(tmp_path: Path) -> None:
    """A small archive of much is stopped on the way."""
    with pytest.raises(StepFailed, match="unpacked_at_most"):
        unpacked(packed(tmp_path / "a.tar.gz", {**PACKAGE, "zeros": "0" * _MIB}), at_most=_MIB)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x": ""}, "holds no package.json"),
        ({**PACKAGE, "package.json": "{"}, "package.json is not valid"),
        ({**PACKAGE, "package.json": "[]"}, "an object with a name"),
        ({**PACKAGE, "package.json": '{"version": "1"}'}, "an object with a name"),
        ({"package.json": PACKAGE["package.json"]}, "holds no package-lock.json"),
    ],
)
def test_what_is_no_application(tmp_path: Path, content: dict[str, str], message: str) -> None:
    """Is refused before npm sees it."""
    with pytest.raises(StepFailed, match=message):
        unpacked(packed(tmp_path / "a.tar.gz", content))


def test_what_is_no_archive(tmp_path: Path) -> None:
    """Half of one, or something else."""
    file = packed(tmp_path / "a.tar.gz", PACKAGE)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(StepFailed, match="cannot be unpacked"):
        unpacked(file)


async def test_the_checksum_decides(tmp_path: Path) -> None:
    """By a SHA256SUMS file as `sha256sum` writes it, or by the digest itself."""
    file = packed(tmp_path / "shop-1.0.tar.gz", PACKAGE)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(f"{'0' * 64}  shop-0.9.tar.gz\n{digest} *dist/shop-1.0.tar.gz\n")
    place = f"{tmp_path}/shop-$version.tar.gz"
    for source in (Source(archive=place, sums=str(sums)), Source(archive=place, sha256=digest)):
        assert await archive.fetch(source, "1.0", tmp_path) == (file, digest)
    with pytest.raises(StepFailed, match="damaged, or not what was released"):
        await archive.fetch(Source(archive=place, sha256="0" * 64), "1.0", tmp_path)
    sums.write_text(f"{digest}  other.tar.gz\n")
    with pytest.raises(StepFailed, match=r"says nothing of shop-1\.0\.tar\.gz"):
        await archive.fetch(Source(archive=place, sums=str(sums)), "1.0", tmp_path)


@pytest.mark.usefixtures("hung_resolver")
async def test_a_name_that_is_not_resolved_in_time_is_told(tmp_path: Path) -> None:
    """Rather than that nothing came from a host that nobody has called."""
    source = Source(archive="https://hung.example/shop-$version.tgz", sha256="0" * 64)
    with pytest.raises(
        StepFailed, match=r"was not fetched within .*: the name hung\.example was not resolved within \d"
    ):
        await archive.fetch(source.model_copy(update={"timeout": 3.0}), "1.0", tmp_path)


async def test_a_release_is_fetched_through_the_proxy_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host may have no other way out; a failure of the proxy's is told as one."""
    source = Source(archive="https://files.test/shop-$version.tgz", sha256="0" * 64)
    async with proxy.running({}) as way:
        monkeypatch.setenv("https_proxy", way.url)
        with pytest.raises(StepFailed, match=r"cannot be fetched: the proxy .* does not reach files\.test:443 \(502\)"):
            await archive.fetch(source, "1.0", tmp_path)
        assert way.asked == [("CONNECT", "files.test:443")]


async def test_a_release_that_is_not_there(tmp_path: Path) -> None:
    """Is named."""
    with pytest.raises(StepFailed, match=r"shop-9\.tar\.gz cannot be read: No such file"):
        await archive.fetch(Source(archive=f"{tmp_path}/shop-$version.tar.gz"), "9", tmp_path)


@pytest.mark.parametrize(
    "source",
    [
        {"archive": "https://example.com/shop-$version.tar.gz"},
        {"archive": "http://example.com/shop.tar.gz", "sha256": "0" * 64},
        {"archive": "shop.tar.gz"},
        {"archive": "/shop.tar.gz", "sha256": "0" * 64, "sums": "/SHA256SUMS"},
        {"archive": "/shop.tar.gz", "sha256": "abc"},
    ],
)
def test_a_source_that_could_give_anything_is_refused(source: dict[str, str]) -> None:
    """What comes over a network is checked, and comes encrypted."""
    with pytest.raises(ValueError):
        Source.model_validate(json.loads(json.dumps(source)))
