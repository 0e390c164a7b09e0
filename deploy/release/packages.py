"""The source distribution, the wheel that is built from it, and the versions that it was tried with."""

import shutil
import subprocess
import sys
from pathlib import Path

from deploy.release.source import Commit

_LOCK = "requirements/container.lock"


def build(root: Path, out: Path, commit: Commit) -> Path:
    """The wheel. It is built from the source distribution, so that what is published can be built again from it; beside
    it come the versions that it was tried with, each with its hash."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(root)]
    subprocess.run(command, check=True, env=commit.environment(), stdout=subprocess.DEVNULL)
    (wheel,) = out.glob("*.whl")
    shutil.copyfile(root / _LOCK, out / f"healthd-{commit.version}.requirements.txt")
    return wheel
