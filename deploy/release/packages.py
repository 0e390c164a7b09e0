"""The source distribution, the wheel that is built from it, and the versions that it was tried with."""

import shutil
import subprocess
import sys
from pathlib import Path

from deploy.release import pages
from deploy.release.source import Commit

_LOCK = "requirements/container.lock"


def build(root: Path, out: Path, commit: Commit) -> Path:
    """The wheel. It is built from the source distribution, so that what is published can be built again from it; beside
    it come the versions that it was tried with, each with its hash. Links of README.md, which an index shows, lead to
    the repository."""
    readme = root / "README.md"
    text = pages.absolute(readme.read_text(encoding="utf-8"), pages.address(root), commit.ref)
    readme.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(root)]
    subprocess.run(command, check=True, env=commit.environment(), stdout=subprocess.DEVNULL)
    (wheel,) = out.glob("*.whl")
    shutil.copyfile(root / _LOCK, out / f"healthd-{commit.version}.requirements.txt")
    return wheel
