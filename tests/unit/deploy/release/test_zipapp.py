"""The zipapp under a Python, on a platform or in a home where it cannot start: one sentence with the cure, and exit
code 3, for 1 would tell a pipeline that its gate has failed."""

import os
import platform
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from deploy.release import application
from deploy.release.application import Target
from deploy.release.source import Commit

ROOT = Path(__file__).parents[4]
COMMIT = Commit("a" * 40, 1_000_000_000, "0.1.0", "v0.1.0", False)
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
FITTING = Target(HERE, "linux_x86_64", EXTENSION_SUFFIXES[0], "2.17")

Pack = Callable[..., Path]


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    """Makes a zipapp whose program says that it runs and what it was called with."""

    def made(target: Target, *others: Target) -> Path:
        packages = tmp_path / "site-packages"
        packages.mkdir()
        (packages / "healthd_program.py").write_text("import sys\n\ndef main():\n    print('runs', *sys.argv[1:])\n")
        return application.pack(packages, tmp_path, COMMIT, target, list(others))

    return made


def run(file: Path, *words: str, program: str = sys.executable, **env: str) -> subprocess.CompletedProcess[str]:
    home = file.parent / "home"
    given = {"PATH": "/nowhere", "HOME": str(home), **env}
    return subprocess.run([program, str(file), *words], env=given, capture_output=True, text=True, check=False)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence that a zipapp ended with."""
    assert (done.returncode, done.stdout) == (3, ""), done.stderr
    (line,) = done.stderr.splitlines()
    return line


def test_it_runs_where_it_can(pack: Pack) -> None:
    done = run(pack(FITTING), "gate", "verify")
    assert (done.returncode, done.stdout, done.stderr) == (0, "runs gate verify\n", "")


def test_another_python_names_the_file_for_it(pack: Pack) -> None:
    wanted = Target("3.99", "linux_x86_64", ".cpython-399-x86_64-linux-gnu.so", "2.17")
    said = refused(run(pack(wanted, wanted, FITTING)))
    fitting = f"{FITTING.name('0.1.0')}.pyz of the same release"
    assert said == (
        f"healthd: healthd-0.1.0-cp399-linux_x86_64.pyz is for Python 3.99, and this is Python {HERE}, "
        f"{sys.executable}: take {fitting}, or install python3.99"
    )


def test_another_python_that_no_file_is_for_names_the_one_to_install(pack: Pack) -> None:
    said = refused(run(pack(Target("3.99", "linux_x86_64", ".cpython-399-x86_64-linux-gnu.so", "2.17"))))
    assert said.endswith(f"{sys.executable}: install python3.99")


def test_another_platform_names_the_file_for_it(pack: Pack) -> None:
    wanted = Target(HERE, "linux_pdp11", ".cpython-pdp11-linux-gnu.so", "2.17")
    said = refused(run(pack(wanted, wanted, FITTING)))
    assert "is for CPython on linux_pdp11" in said
    assert said.endswith(f": take {FITTING.name('0.1.0')}.pyz of the same release")


def test_a_platform_that_no_file_is_for(pack: Pack) -> None:
    """Such as Alpine's, whose C library is another."""
    said = refused(run(pack(Target(HERE, "linux_pdp11", ".cpython-pdp11-linux-gnu.so", "2.17"))))
    assert said.endswith(": take the image, or the wheel")


def test_an_old_host(pack: Pack) -> None:
    said = refused(run(pack(Target(HERE, "linux_x86_64", EXTENSION_SUFFIXES[0], "2.999"))))
    assert f"needs glibc 2.999 or newer, and here is {platform.libc_ver()[1]}: take the image" in said


def test_the_right_python_is_found_on_the_path(pack: Pack, tmp_path: Path) -> None:
    """And asked once: what is called so and is another Python does not ask itself for ever."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python3.99").write_text(f'#!/bin/sh\necho "asked $4 $5"\nexec {sys.executable} "$@"\n')
    (programs / "python3.99").chmod(0o755)
    file = pack(Target("3.99", "linux_x86_64", ".cpython-399-x86_64-linux-gnu.so", "2.17"))
    done = run(file, "gate", "verify", PATH=str(programs))
    assert (done.returncode, done.stdout) == (3, "asked gate verify\n")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("older", ["python2.7", "python2", "python3.6", "python3.8"])
def test_a_python_that_shares_no_syntax(older: str, pack: Pack) -> None:
    found = [Path(folder, older) for folder in os.environ["PATH"].split(os.pathsep)]
    homes = [*found, *Path.home().glob(f".pyenv/versions/{older.removeprefix('python')}*/bin/{older}")]
    file = pack(FITTING)
    for program in (str(each) for each in homes if each.exists()):
        if subprocess.run([program, "-c", ""], capture_output=True, check=False).returncode == 0:
            assert refused(run(file, program=program)).endswith(f": install python{HERE}")
            return
    pytest.skip(f"no {older} is here")


def test_no_umask_is_seen_in_it(tmp_path: Path) -> None:
    """Not that of who builds it, nor that of who installed the tools: what shiv packs of itself is like the rest."""
    made = []
    for umask in (0o022, 0o077):
        packages = tmp_path / f"{umask:o}" / "site-packages"
        packages.mkdir(parents=True)
        for name, mode in (("module.py", 0o666), ("program", 0o777)):
            (packages / name).write_text("pass\n")
            (packages / name).chmod(mode & ~umask)
        made.append(application.pack(packages, packages.parent, COMMIT, FITTING, []))
    assert made[0].read_bytes() == made[1].read_bytes()
    modes = {entry.filename: entry.external_attr >> 16 for entry in zipfile.ZipFile(made[1]).infolist()}
    assert modes.pop("site-packages/program") == 0o100755
    assert set(modes.values()) == {0o100644}


@pytest.mark.parametrize("env", [{}, {"SHIV_ROOT": "/dev/null/here"}])
def test_a_home_that_nothing_can_be_written_to(env: dict[str, str], pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("is a file")
    said = refused(run(pack(FITTING), **env))
    assert said.endswith(": name a folder to write to in SHIV_ROOT")


def test_wheels_say_which_glibc_they_run_with(tmp_path: Path) -> None:
    """Each runs with the oldest that it names; all together with the newest of these."""
    for name, tags in {
        "a": ["cp313-cp313-manylinux_2_17_x86_64", "cp313-cp313-manylinux2014_x86_64"],
        "b": ["cp313-abi3-manylinux_2_34_x86_64", "cp313-abi3-manylinux_2_28_x86_64"],
        "c": ["py3-none-any"],
    }.items():
        (tmp_path / f"{name}.dist-info").mkdir()
        (tmp_path / f"{name}.dist-info" / "WHEEL").write_text("".join(f"Tag: {tag}\n" for tag in tags))
    assert application._glibc(tmp_path) == "2.28"


def test_the_workflow_builds_for_what_a_release_is_for() -> None:
    """Each Python of pyproject.toml on each platform, and no other; so say the pages."""
    workflow: dict[str, Any] = YAML(typ="safe").load((ROOT / ".github/workflows/release.yml").read_text())
    matrix = workflow["jobs"]["build"]["strategy"]["matrix"]
    platforms = {"ubuntu-24.04": "linux_x86_64", "ubuntu-24.04-arm": "linux_aarch64"}
    built = {(python, platforms[runner]) for python in matrix["python"] for runner in matrix["runner"]}
    targets = application.released(ROOT)
    assert built == {(each.python, each.platform) for each in targets}
    first, *_, last = dict.fromkeys(each.python for each in targets)
    said = f"CPython {first} to {last}, on `linux_x86_64` and on `linux_aarch64`"
    for page in ("RELEASE.md", "docs/install.md"):
        assert said in " ".join((ROOT / page).read_text(encoding="utf-8").split()), page
