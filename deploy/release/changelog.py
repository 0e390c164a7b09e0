"""CHANGELOG.md: the part of a version is cut from what stands under Unreleased."""

import re
from datetime import date

_UNRELEASED = "## [Unreleased]\n"


def cut(text: str, version: str, today: date) -> str:
    """The changelog with the entries of Unreleased under `version`. Raises ValueError where there are none."""
    head, found, rest = text.partition(_UNRELEASED)
    if not found:
        raise ValueError("CHANGELOG.md has no part [Unreleased]")
    if f"## [{version}]" in text:
        raise ValueError(f"CHANGELOG.md already has a part [{version}]")
    if not re.search(r"^- ", rest.partition("\n## [")[0], re.MULTILINE):
        raise ValueError("nothing stands under [Unreleased]: there is nothing to release")
    return f"{head}{_UNRELEASED}\n## [{version}] - {today.isoformat()}\n{rest}"


def notes(text: str, version: str) -> str:
    """The entries of one version, as the notes of its release. Raises ValueError where it has no part."""
    part = re.search(rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## \[|\Z)", text, re.MULTILINE | re.DOTALL)
    if part is None:
        raise ValueError(f"CHANGELOG.md has no part [{version}]: python -m deploy.release cut {version}")
    return part[1].strip() + "\n"
