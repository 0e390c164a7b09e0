"""Words of pages before the first release and after it, and the address of the repository.

A passage that holds until then stands between two comments, and the second has what is said from then on:

    <!-- until the first release -->
    No release has been published yet.
    <!-- from then on: Each release has a wheel. -->

`cut` puts the one in the place of the other, and the address of pyproject.toml in the place of its stand-in; nothing
that is left of either is released.
"""

import posixpath
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

STAND_IN = "OWNER/healthd"
_PASSAGE = re.compile(r"<!-- until the first release -->\n.*?\n<!-- from then on:[ \n]?(.*?)-->\n", re.DOTALL)
_MARK = re.compile(r"<!-- (until the first release|from then on)")
_OURS = ("deploy/release/", "tests/")  # which speak of both
_LINK = re.compile(r"(!?)(\[[^\[\]]*\])\((?![a-z]+:|#)([^)\s]+)\)")


def address(root: Path) -> str:
    """The address of the repository, which pyproject.toml alone has: https://HOST/OWNER/NAME."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found: str = project["urls"]["Source"]
    return found.removesuffix("/")


def finish(root: Path) -> list[str]:
    """Make every page of the repository what it is from the first release on, and return those that were changed.

    Raises ValueError where pyproject.toml does not say yet where the repository is.
    """
    if STAND_IN in (place := address(root)):
        raise ValueError(
            "pyproject.toml: project.urls.Source: write the repository's address in the place of OWNER/healthd"
        )
    changed = []
    for name, text in _files(root):
        done = _PASSAGE.sub(lambda passage: f"{said}\n" if (said := passage[1].strip()) else "", text)
        done = done.replace(STAND_IN, "/".join(place.split("/")[3:]))
        if done != text:
            (root / name).write_text(done, encoding="utf-8")
            changed.append(name)
    return changed


def unfinished(root: Path) -> list[str]:
    """The files that still say what holds only before the first release, or have no address of the repository."""
    return [name for name, text in _files(root) if _MARK.search(text) or STAND_IN in text]


def absolute(text: str, place: str, ref: str, folder: str = "") -> str:
    """A page of `folder` whose links lead to the repository at `place`, as it is at `ref`: an index of packages shows
    it, and has none of the files beside it."""

    def led(link: re.Match[str]) -> str:
        file = posixpath.normpath(posixpath.join(folder, link[3]))
        return f"{link[1]}{link[2]}({place}/{'raw' if link[1] else 'blob'}/{ref}/{file})"

    return _LINK.sub(led, text)


def _files(root: Path) -> Iterator[tuple[str, str]]:
    """Text files of the repository that ship or are read; of an exported tree, all of it."""
    if (root / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.split("\0")
    else:
        listed = [file.relative_to(root).as_posix() for file in root.rglob("*")]
    for name in sorted(each for each in listed if each and not each.startswith(_OURS)):
        file = root / name
        if file.is_file() and not file.is_symlink():
            try:
                yield name, file.read_text(encoding="utf-8")
            except UnicodeDecodeError:  # a picture
                continue
