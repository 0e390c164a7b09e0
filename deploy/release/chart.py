"""The Helm chart as a package: what `helm package` makes, with the same bytes each time."""

import gzip
import io
import re
import tarfile
from pathlib import Path

from deploy.release.source import Commit

_CHART = "deploy/helm/healthd"


def build(root: Path, out: Path, commit: Commit) -> None:
    """Put the chart into `out`, under the version of the commit."""
    chart = root / _CHART
    semantic = as_semver(commit.version)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for file in sorted(path for path in chart.rglob("*") if path.is_file()):
            data = file.read_bytes()
            if file.name == "Chart.yaml":
                data = re.sub(rb"(?m)^version: .*$", f"version: {semantic}".encode(), data)
                data = re.sub(rb"(?m)^appVersion: .*$", f'appVersion: "{commit.version}"'.encode(), data)
            entry = tarfile.TarInfo(f"healthd/{file.relative_to(chart).as_posix()}")
            entry.size, entry.mtime, entry.mode = len(data), commit.time, 0o644
            archive.addfile(entry, io.BytesIO(data))
    (out / f"healthd-{semantic}.tgz").write_bytes(gzip.compress(packed.getvalue(), mtime=0))


def as_semver(version: str) -> str:
    """A version of Python's as Helm reads it: `1.2.3rc1` is `1.2.3-rc.1`, `0.1.dev4+gabc` is `0.1.0-dev.4+gabc`."""
    public, _, local = version.partition("+")
    found = re.fullmatch(r"(\d+)\.(\d+)(?:\.(\d+))?(?:\.?(a|b|rc|dev)(\d+))?", public)
    if found is None:
        raise ValueError(f"{version} is no version that a chart can have")
    major, minor, patch, word, number = found.groups()
    before = f"-{word}.{number}" if word else ""
    return f"{major}.{minor}.{patch or 0}{before}{'+' + local if local else ''}"
