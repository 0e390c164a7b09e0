"""The links, the lock and the record of a deploy that is not finished."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from healthd_deploy.core.exit import CouldNotAsk, StepFailed
from healthd_deploy.host.folders import MARK, Folders, Unfinished

_HOLDS = """
import sys, time
from pathlib import Path
from healthd_deploy.host.folders import Folders
Folders(Path(sys.argv[1])).claim()
child = __import__("subprocess").Popen(["sleep", "60"])
print(child.pid, flush=True)
time.sleep(60)
"""


def folders(home: Path, *versions: str) -> Folders:
    for version in versions:
        (home / "releases" / version).mkdir(parents=True)
        (home / "releases" / version / MARK).write_text("{}")
    return Folders(home)


def test_the_links_are_replaced(tmp_path: Path) -> None:
    """They point to releases, relative to the home, and nothing else is left beside them."""
    host = folders(tmp_path, "1", "2")
    assert (host.version(), host.previous()) == (None, None)
    host.point(current="1", previous=None)
    host.point(current="2", previous="1")
    assert (host.version(), host.previous()) == ("2", "1")
    assert str((tmp_path / "current").readlink()) == "releases/2"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["current", "previous", "releases"]


def test_nothing_points_to_half_a_release(tmp_path: Path) -> None:
    """A folder without its mark was not finished, or is half removed."""
    host = folders(tmp_path, "1")
    (tmp_path / "releases" / "2").mkdir()
    with pytest.raises(StepFailed, match="not whole"):
        host.point(current="2", previous="1")
    assert host.version() is None


def test_a_folder_in_the_place_of_a_link_is_left_alone(tmp_path: Path) -> None:
    """Who deployed by hand before is told what to move where."""
    (tmp_path / "current").mkdir()
    with pytest.raises(StepFailed, match="is not a link: move the application"):
        Folders(tmp_path).version()


def test_the_record_of_a_deploy(tmp_path: Path) -> None:
    """It outlives the process; one that cannot be read stops the next deploy rather than being forgotten."""
    begun = Unfinished("run-7", "2", "1", None)
    Folders(tmp_path).begin(begun)
    assert Folders(tmp_path).unfinished() == begun
    Folders(tmp_path).finish()
    assert Folders(tmp_path).unfinished() is None
    (tmp_path / ".deploy.json").write_text('{"key": ')
    with pytest.raises(StepFailed, match="cannot be read"):
        Folders(tmp_path).unfinished()


def test_a_killed_deploy_holds_no_lock(tmp_path: Path) -> None:
    """The kernel frees it, also while a program that the deploy started lives on."""
    holder = subprocess.Popen([sys.executable, "-c", _HOLDS, tmp_path], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    try:
        with pytest.raises(CouldNotAsk, match="another deploy is under way"):
            Folders(tmp_path).claim()
        holder.kill()
        holder.wait()
        Folders(tmp_path).claim()
    finally:
        subprocess.run(["kill", str(child)], check=False)
        holder.send_signal(signal.SIGKILL)
        holder.stdout.close()


def test_what_a_killed_deploy_left_is_removed(tmp_path: Path) -> None:
    """Half of a release does not stay on the disk."""
    host = folders(tmp_path, "1")
    (tmp_path / "releases" / ".new-1234" / "release").mkdir(parents=True)
    host.claim()
    assert [each.name for each in (tmp_path / "releases").iterdir()] == ["1"]


def test_old_releases_go(tmp_path: Path) -> None:
    """The newest stay, and whatever is pointed to."""
    host = folders(tmp_path, *"12345")
    for age, version in enumerate("54321"):
        os.utime(tmp_path / "releases" / version / MARK, (1e9 - age, 1e9 - age))
    host.point(current="5", previous="1")
    host.prune(2)
    assert sorted(each.name for each in (tmp_path / "releases").iterdir()) == ["1", "4", "5"]
