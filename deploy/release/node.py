"""The client for Node.js as a package that npm installs: what `npm pack` makes, with the same bytes each time."""

import json
from pathlib import Path

from deploy.release import pages, tarball
from deploy.release.chart import as_semver
from deploy.release.source import Commit

_FOLDER = "clients/node"


def build(root: Path, out: Path, commit: Commit) -> None:
    """Put the package into `out`, under the version of the commit. In the repository it has none, and is private: what
    lies there is not to be published."""
    folder = root / _FOLDER
    described = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    del described["private"]
    described["version"] = as_semver(commit.version)
    described["repository"] = {"type": "git", "url": f"git+{pages.address(root)}.git", "directory": _FOLDER}
    files = {name: (folder / name).read_bytes() for name in described["files"]}
    readme = files["README.md"].decode()
    files["README.md"] = pages.absolute(readme, pages.address(root), commit.ref, _FOLDER).encode()
    files["package.json"] = (json.dumps(described, indent=2) + "\n").encode()
    files["LICENSE"] = (root / "LICENSE").read_bytes()
    name = f"{described['name']}-{described['version']}.tgz"
    (out / name).write_bytes(tarball.packed({f"package/{each}": data for each, data in files.items()}, commit))
