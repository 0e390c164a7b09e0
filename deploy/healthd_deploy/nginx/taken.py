"""Record of the content that NGINX was seen to take, with the workers that have it: who finds both as they were need
not reload NGINX again, as the tool after healthd's own rollback."""

from __future__ import annotations

import json
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from healthd_deploy.nginx.reloaded import Workers
from healthd_deploy.nginx.state import State


class Taken:
    """Record in the file whose lock its writer holds."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def note(self, content: bytes, state: State | None, before: Workers | None, now: Workers | None) -> None:
        """Record that the workers of `now` which were not there `before` have this content, which gives the traffic as
        `state` says, where that is known. A reload that was not seen leaves no record."""
        seen = None
        if before is not None and now is not None:
            own = sorted(now.started.items() - before.started.items())
            gives = None if state is None else {"live": state.live, "other": state.other}
            seen = {"content": _digest(content), "gives": gives, "workers": own}
        with suppress(OSError):  # without a record NGINX is reloaded once more
            self._file.write_text(json.dumps(seen), encoding="ascii")

    def has(self, content: bytes, now: Workers | None) -> bool:
        """True if every worker that takes connections `now` was seen to have this content."""
        seen = self._seen(now)
        return seen is not None and seen.get("content") == _digest(content)

    def state(self, now: Workers | None) -> State | None:
        """Return the state of the content that every worker which takes connections `now` was seen to have, without
        the versions; None where that is not known."""
        seen = self._seen(now)
        with suppress(TypeError, KeyError):
            return None if seen is None else State(str(seen["gives"]["live"]), other=float(seen["gives"]["other"]))
        return None

    def _seen(self, now: Workers | None) -> dict[str, Any] | None:
        """Return what was recorded of all of these workers, None where it is of others."""
        if now is None:
            return None
        with suppress(OSError, ValueError, TypeError, KeyError):
            seen: dict[str, Any] = json.loads(self._file.read_text(encoding="ascii"))
            return seen if now.started.items() <= set(map(tuple, seen["workers"])) else None
        return None


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()
