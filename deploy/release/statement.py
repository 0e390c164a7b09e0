"""The checksums of a release, and the statement of where its files come from (in-toto, SLSA provenance v1).

The statement is not signed here. The public workflow signs one of its own with the identity of its run, which is what a
stranger can check; this one says the same about a build on any machine, so that it can be repeated and compared.
"""

import hashlib
import json
import platform
from pathlib import Path
from typing import Any

from deploy.release.source import Commit

_SUMS = "SHA256SUMS"
_LOCKS = ("requirements/container.lock", "requirements/release.lock")


def digest(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def checksums(out: Path) -> None:
    """Write SHA256SUMS, as `sha256sum --check` reads it."""
    lines = [f"{digest(file)}  {file.name}\n" for file in sorted(out.iterdir())]
    (out / _SUMS).write_text("".join(lines), encoding="utf-8")


def provenance(root: Path, out: Path, commit: Commit) -> None:
    """Write the statement about every file in `out`."""
    subjects = [{"name": file.name, "digest": {"sha256": digest(file)}} for file in sorted(out.iterdir())]
    locks = [{"name": name, "digest": {"sha256": digest(root / name)}} for name in _LOCKS]
    document: dict[str, Any] = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:healthd:release:v1",
                "externalParameters": {"version": commit.version, "tag": commit.tag},
                "internalParameters": {
                    "SOURCE_DATE_EPOCH": commit.time,
                    "python": platform.python_version(),
                    "platform": platform.machine(),
                },
                "resolvedDependencies": [{"name": "source", "digest": {"gitCommit": commit.hash}}, *locks],
            },
            "runDetails": {"builder": {"id": "urn:healthd:release:local"}},
        },
    }
    text = json.dumps(document, indent=2) + "\n"
    (out / f"healthd-{commit.version}.intoto.json").write_text(text, encoding="utf-8")
