"""The zipapp, one file with healthd and the locked versions of all that it needs, and the bill of what is in it.

Compiled packages are in it, so a release has one for each version of Python that pyproject.toml promises, on each of
`PLATFORMS`; a build makes the one of the interpreter that builds it.
"""

import json
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import zipfile
from copy import copy
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from deploy.release.source import Commit

PLATFORMS = ("linux_x86_64", "linux_aarch64")
_LOCK = "requirements/container.lock"
_PROGRAM = "healthd_program"  # the module that the zipapp starts


@dataclass(frozen=True)
class Target:
    """The environment of a zipapp: a version of Python as "3.13", a platform, the suffix of its compiled packages, and
    the oldest version of glibc that they run with."""

    python: str
    platform: str
    suffix: str
    glibc: str

    def name(self, version: str) -> str:
        """The name of the zipapp of a version of healthd, without its ending."""
        return f"healthd-{version}-cp{self.python.replace('.', '')}-{self.platform}"


def released(root: Path) -> list[Target]:
    """Return the environments that a release has zipapps for; of their glibc nothing is known before they are built."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", each) for each in project["classifiers"]]
    return [
        Target(
            each[1], platform, f".cpython-{each[1].replace('.', '')}-{platform.removeprefix('linux_')}-linux-gnu.so", ""
        )
        for each in named
        if each
        for platform in PLATFORMS
    ]


def build(root: Path, out: Path, commit: Commit, wheel: Path) -> None:
    """Put the zipapp and its bill of materials (CycloneDX) into `out`."""
    with tempfile.TemporaryDirectory() as folder:
        packages = _environment(root, Path(folder), commit, wheel)
        target = _target(packages)
        _bill(root, out / f"{target.name(commit.version)}.cdx.json", Path(folder), commit)
        shutil.copy(Path(__file__).with_name("program.py"), packages / f"{_PROGRAM}.py")
        pack(packages, out, commit, target, released(root))


def pack(packages: Path, out: Path, commit: Commit, target: Target, others: list[Target]) -> Path:
    """Put a folder of packages into a zipapp that starts nowhere but where it can, and names those of `others`."""
    file, made = out / f"{target.name(commit.version)}.pyz", packages.with_name("made.pyz")
    _run(commit, "shiv", "--reproducible", "--uncompressed", "--site-packages", str(packages), "--python",
         "/usr/bin/env python3", "--entry-point", f"{_PROGRAM}:main", "--output-file", str(made))  # fmt: skip
    beside = {each.suffix: f"{each.name(commit.version)}.pyz" for each in others}
    words = (file.name, target.python, target.platform, target.suffix, target.glibc, beside)
    main = f"import healthd_fits\n\nhealthd_fits.start{words!r}\n"
    fits = Path(__file__).with_name("fits.py").read_text(encoding="utf-8")
    with made.open("rb") as begun, zipfile.ZipFile(begun) as read, file.open("wb") as stream:
        begun.seek(0)
        stream.write(begun.readline())  # the interpreter that starts it
        with zipfile.ZipFile(stream, "w") as written:
            for entry in read.infolist():
                data = read.read(entry)
                # Whatever the umask, also the one that shiv was installed under: part of what it packs is its own.
                mode = 0o755 if entry.external_attr >> 16 & 0o100 else 0o644
                entry.external_attr = (stat.S_IFREG | mode) << 16
                if entry.filename == "__main__.py":
                    first, data = copy(entry), main.encode()
                    first.filename = "healthd_fits.py"
                    written.writestr(first, fits, zipfile.ZIP_DEFLATED)
                written.writestr(entry, data, zipfile.ZIP_DEFLATED)
    file.chmod(0o755)
    return file


def _target(packages: Path) -> Target:
    """Return the environment of packages that this interpreter has installed."""
    platform = re.sub(r"[^a-z0-9]", "_", sysconfig.get_platform())
    return Target(f"{sys.version_info[0]}.{sys.version_info[1]}", platform, EXTENSION_SUFFIXES[0], _glibc(packages))


def _glibc(packages: Path) -> str:
    """The oldest glibc that every wheel accepts, of which it was installed."""
    newest = (2, 17)  # Python 3.11 and newer are built for no older one
    for file in packages.glob("*.dist-info/WHEEL"):
        tags = re.findall(r"manylinux_(\d+)_(\d+)_|manylinux(2014)_", file.read_text(encoding="utf-8"))
        oldest = [(2, 17) if alias else (int(major), int(minor)) for major, minor, alias in tags]
        newest = max(newest, min(oldest, default=newest))
    return ".".join(map(str, newest))


def _environment(root: Path, folder: Path, commit: Commit, wheel: Path) -> Path:
    """The folder of packages of a new environment, without anything that tells where it was."""
    python = folder / "bin" / "python"
    _run(commit, "uv", "venv", "--quiet", "--python", sys.executable, str(folder))
    oldest = f"{sys.version_info[0]}.{sys.version_info[1]}"  # its first: a package may be needed before a later patch
    install = ["uv", "pip", "install", "--quiet", "--link-mode", "copy", "--python", str(python)]
    install += ["--python-version", oldest]
    _run(commit, *install, "--only-binary", ":all:", "--require-hashes", "--requirement", str(root / _LOCK))
    _run(commit, *install, "--no-deps", str(wheel))
    (packages,) = folder.glob("lib/python*/site-packages")
    for name in ("_virtualenv.py", "_virtualenv.pth", "*.dist-info/direct_url.json", "*.dist-info/uv_*.json"):
        for file in packages.glob(name):
            file.unlink()
    for record in packages.glob("*.dist-info/RECORD"):
        lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not re.match(r"\.\./|.*/(?:direct_url|uv_\w+)\.json,", line)]
        record.write_text("".join(kept), encoding="utf-8")
    return packages


def _bill(root: Path, file: Path, environment: Path, commit: Commit) -> None:
    # Not validated here: its validator takes ten times as long as all the rest, and a test of the release validates it.
    words = ["--no-validate", "--output-reproducible", "--mc-type", "application"]
    project = ["--pyproject", str(root / "pyproject.toml")]
    _run(commit, "cyclonedx-py", "environment", *words, *project, "--output-file", str(file), str(environment))
    bill = json.loads(file.read_text(encoding="utf-8"))
    bill["metadata"]["component"]["version"] = commit.version  # pyproject.toml leaves it to the tag
    file.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")


def _run(commit: Commit, program: str, *words: str) -> None:
    path = Path(sys.executable).with_name(program)
    subprocess.run([path, *words], check=True, env=commit.environment(), stdout=subprocess.DEVNULL)
