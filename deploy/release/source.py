"""The commit that a release is built from."""

import io
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Commit:
    """A commit: its hash, when it was made (seconds since 1970), the version of a build of it, its tag `vX.Y.Z` if
    it has one, and whether files of the tree differ from it."""

    hash: str
    time: int
    version: str
    tag: str | None
    changed: bool

    @property
    def ref(self) -> str:
        """Its name in an address of the repository."""
        return self.tag or self.hash

    def why_no_release(self) -> str | None:
        """The reason why no release can be built from it."""
        if self.changed:
            return "the tree has changes that are not committed"
        if self.tag is None:
            return "no tag vX.Y.Z stands at this commit"
        return None if self.tag == f"v{self.version}" else f"the tag {self.tag} is not the version {self.version}"

    def environment(self) -> dict[str, str]:
        """The environment of every tool that builds: dates are those of the commit, the version is said, and neither
        the language nor the time zone of the machine shows."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SETUPTOOLS_SCM"))}
        fixed = {
            "PYTHONHASHSEED": "0",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "SETUPTOOLS_SCM_PRETEND_VERSION": self.version,
        }
        return {**kept, **fixed, "SOURCE_DATE_EPOCH": str(self.time)}


def read(root: Path) -> Commit:
    """The commit that is checked out in `root`."""

    def told(*words: str) -> str:
        return subprocess.run(words, cwd=root, check=True, capture_output=True, text=True).stdout.strip()

    tags = told("git", "tag", "--points-at", "HEAD", "--list", "v[0-9]*", "--sort=version:refname").splitlines()
    return Commit(
        told("git", "rev-parse", "HEAD"),
        int(told("git", "log", "-1", "--format=%ct")),
        told(sys.executable, "-m", "hatchling", "version"),
        tags[-1] if tags else None,
        bool(told("git", "status", "--porcelain")),
    )


def export(root: Path, commit: Commit, folder: Path) -> None:
    """Put the files of the commit into `folder`: what lies about in the tree is in no package."""
    packed = subprocess.run(
        ["git", "-c", "tar.umask=0022", "archive", commit.hash], cwd=root, check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # from Python 3.11.4 on
        archive.extractall(folder)
