"""A package as a compressed archive, with the same bytes each time."""

import gzip
import io
import tarfile
from collections.abc import Mapping

from deploy.release.source import Commit


def packed(files: Mapping[str, bytes], commit: Commit) -> bytes:
    """The archive of files by their names in it, each of the date of the commit."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(data), commit.time, 0o644
            archive.addfile(entry, io.BytesIO(data))
    return gzip.compress(stream.getvalue(), mtime=0)
