"""The command that puts a service back, as the documentation wants it: `put_back.py FOLDER SERVICE VERSION`.

It brings about a state under a lock, and writes down when that changed anything.
"""

import fcntl
import sys
import time
from pathlib import Path


def put(folder: Path, service: str, version: str, *, told: bool = False) -> str | None:
    """The version that was there before, None where nothing had to change; `told` writes it down."""
    state, fresh = folder / service, folder / f"{service}.new"
    with (folder / f"{service}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = state.read_text() if state.exists() else ""
        if before == version:
            return None
        if told:
            with (folder / "effects").open("a") as effects:
                effects.write(f"{time.monotonic_ns()} {service} {before}\n")
        fresh.write_text(version)
        fresh.replace(state)
        return before


if __name__ == "__main__":
    where, name, wanted = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    print(f"{name}: {wanted} in place of {put(where, name, wanted, told=True) or wanted}")
