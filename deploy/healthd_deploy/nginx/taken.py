"""Record of the content that NGINX was seen to take, with the workers that have it: who finds both as they were need
not reload NGINX again, as the tool after healthd's own rollback."""

from __future__ import annotations

import json
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from healthd_deploy.nginx.reloaded import Workers


class Taken:
    """Record in the file whose lock its writer holds."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def note(self, content: bytes, before: Workers | None, now: Workers | None) -> None:
        """Record that the workers of `now` which were not there `before` have this content. A reload that was not seen
        leaves no record."""
        seen = None
        if before is not None and now is not None:
            own = sorted(now.started.items() - before.started.items())
            seen = {"content": _digest(content), "servers": _digest(_servers(content)), "workers": own}
        with suppress(OSError):  # without a record NGINX is reloaded once more
            self._file.write_text(json.dumps(seen), encoding="ascii")

    def has(self, content: bytes, now: Workers | None) -> bool:
        """True if every worker that takes connections `now` was seen to have this content."""
        if now is None:
            return False
        with suppress(OSError, ValueError, TypeError, KeyError):
            seen = json.loads(self._file.read_text(encoding="ascii"))
            return seen["content"] == _digest(content) and now.started.items() <= set(map(tuple, seen["workers"]))
        return False

    def lacks(self, content: bytes, now: Workers | None) -> bool:
        """True if every worker that takes connections `now` was seen to have other servers than this content, whatever
        its first line says of versions."""
        if now is None:
            return False
        with suppress(OSError, ValueError, TypeError, KeyError):
            seen = json.loads(self._file.read_text(encoding="ascii"))
            is_other = seen["servers"] != _digest(_servers(content))
            return is_other and now.started.items() <= set(map(tuple, seen["workers"]))
        return False


def _servers(content: bytes) -> bytes:
    """Return the content without its first line."""
    return content.partition(b"\n")[2]


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()
