"""The installed command `healthd`, run as its users run it: a subprocess that is never to show a traceback."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INSTALLED = Path(sys.executable).with_name("healthd")
_OWN_VARIABLES = ("HEALTHD_", "_HEALTHD_")


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


def healthd(*words: object, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Outcome:
    """Run `healthd WORDS` to its end, with none of the caller's own HEALTHD_ variables."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(_OWN_VARIABLES)}
    done = subprocess.run(
        [INSTALLED, *map(str, words)],
        env={**own, "COLUMNS": "120", **(env or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return Outcome(done.returncode, done.stdout, done.stderr)
