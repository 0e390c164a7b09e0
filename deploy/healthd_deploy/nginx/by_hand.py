"""File that a person wrote before the tool did: a lone upstream, without which NGINX would not have started."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

_COMMENT = re.compile(r"(?<![^\s;{}])#.*")
_SERVER = re.compile(r"(?<![^;\s])server\s+([^\s;]+)[^;]*;")


def servers(text: str, name: str) -> list[str] | None:
    """Return the servers of a file that has the upstream of this name and nothing else, none of them where it has only
    comments; None where it has something else."""
    code = _COMMENT.sub("", text).strip()
    if not code:
        return []
    lone = re.fullmatch(rf"upstream\s+[\"']?{re.escape(name)}[\"']?\s*\{{([^{{}}]*)\}}", code)
    return _SERVER.findall(lone[1]) if lone else None


def target(found: Collection[str], targets: Mapping[str, Collection[str]]) -> str | None:
    """Return the target that has exactly these servers, None where none has."""
    return next((name for name, its in targets.items() if set(its) == set(found)), None)
