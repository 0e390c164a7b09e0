"""The source distribution, and the wheel that is built from it."""

import subprocess
import sys
from pathlib import Path

from deploy.release.source import Commit


def build(root: Path, out: Path, commit: Commit) -> Path:
    """The wheel. It is built from the source distribution, so that what is published can be built again from it."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(root)]
    subprocess.run(command, check=True, env=commit.environment(), stdout=subprocess.DEVNULL)
    (wheel,) = out.glob("*.whl")
    return wheel
