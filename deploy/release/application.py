"""The zipapp, one file with healthd and the locked versions of all that it needs, and the bill of what is in it.

Compiled packages are in it, so there is one for each version of Python and each platform: those of the interpreter that
builds it.
"""

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from deploy.release.source import Commit

_LOCK = "requirements/container.lock"
_PROGRAM = "healthd_program"  # the module that the zipapp starts


def build(root: Path, out: Path, commit: Commit, wheel: Path) -> None:
    """Put the zipapp and its bill of materials (CycloneDX) into `out`."""
    with tempfile.TemporaryDirectory() as folder:
        packages = _environment(root, Path(folder), commit, wheel)
        _bill(root, out / f"healthd-{commit.version}.cdx.json", Path(folder), commit)
        shutil.copy(Path(__file__).with_name("program.py"), packages / f"{_PROGRAM}.py")
        tag = f"cp{sys.version_info[0]}{sys.version_info[1]}-{re.sub(r'[^a-z0-9]', '_', sysconfig.get_platform())}"
        file = out / f"healthd-{commit.version}-{tag}.pyz"
        shebang = f"/usr/bin/env python{sys.version_info[0]}.{sys.version_info[1]}"
        _run(commit, "shiv", "--reproducible", "--compressed", "--site-packages", str(packages), "--python", shebang,
             "--entry-point", f"{_PROGRAM}:main", "--output-file", str(file))  # fmt: skip


def _environment(root: Path, folder: Path, commit: Commit, wheel: Path) -> Path:
    """The folder of packages of a new environment, without anything that tells where it was."""
    python = folder / "bin" / "python"
    _run(commit, "uv", "venv", "--quiet", "--python", sys.executable, str(folder))
    install = ["uv", "pip", "install", "--quiet", "--link-mode", "copy", "--python", str(python)]
    _run(commit, *install, "--require-hashes", "--requirement", str(root / _LOCK))
    _run(commit, *install, "--no-deps", str(wheel))
    (packages,) = folder.glob("lib/python*/site-packages")
    for name in ("_virtualenv.py", "_virtualenv.pth", "*.dist-info/direct_url.json", "*.dist-info/uv_*.json"):
        for file in packages.glob(name):
            file.unlink()
    for record in packages.glob("*.dist-info/RECORD"):
        lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not re.match(r"\.\./|.*/(?:direct_url|uv_\w+)\.json,", line)]
        record.write_text("".join(kept), encoding="utf-8")
    for file in packages.rglob("*"):
        if file.is_file():  # whatever the umask
            file.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)
    return packages


def _bill(root: Path, file: Path, environment: Path, commit: Commit) -> None:
    words = ["--output-reproducible", "--mc-type", "application", "--pyproject", str(root / "pyproject.toml")]
    _run(commit, "cyclonedx-py", "environment", *words, "--output-file", str(file), str(environment))
    bill = json.loads(file.read_text(encoding="utf-8"))
    bill["metadata"]["component"]["version"] = commit.version  # pyproject.toml leaves it to the tag
    file.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")


def _run(commit: Commit, program: str, *words: str) -> None:
    path = Path(sys.executable).with_name(program)
    subprocess.run([path, *words], check=True, env=commit.environment(), stdout=subprocess.DEVNULL)
