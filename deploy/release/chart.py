"""The Helm chart as a package: what `helm package` makes, with the same bytes each time."""

import re
from pathlib import Path

from deploy.release import tarball
from deploy.release.source import Commit

_CHART = "deploy/helm/healthd"


def build(root: Path, out: Path, commit: Commit) -> None:
    """Put the chart into `out`, under the version of the commit."""
    chart = root / _CHART
    semantic = as_semver(commit.version)
    files = {}
    for file in (path for path in chart.rglob("*") if path.is_file()):
        data = file.read_bytes()
        if file.name == "Chart.yaml":
            data = re.sub(rb"(?m)^version: .*$", f"version: {semantic}".encode(), data)
            data = re.sub(rb"(?m)^appVersion: .*$", f'appVersion: "{commit.version}"'.encode(), data)
        files[f"healthd/{file.relative_to(chart).as_posix()}"] = data
    (out / f"healthd-{semantic}.tgz").write_bytes(tarball.packed(files, commit))


def as_semver(version: str) -> str:
    """A version as Helm and npm read it: `1.2.3rc1` is `1.2.3-rc.1`, `0.1.dev4+gabc` is `0.1.0-dev.4+gabc`."""
    public, _, local = version.partition("+")
    found = re.fullmatch(r"(\d+)\.(\d+)(?:\.(\d+))?(?:\.?(a|b|rc|dev)(\d+))?", public)
    if found is None:
        raise ValueError(f"{version} is no version that Helm and npm read")
    major, minor, patch, word, number = found.groups()
    before = f"-{word}.{number}" if word else ""
    return f"{major}.{minor}.{patch or 0}{before}{'+' + local if local else ''}"
