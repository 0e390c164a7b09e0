"""`trim.py FOLDER`: takes out of an environment's packages what nothing reads at run time, a third of the image.

That is: debug symbols of compiled modules (binutils' `strip`), tests, C sources and stubs that packages bring, and of
libraries the parts for what healthd never does: the SDK's descriptions of AWS services that it does not ask, and of
former versions of their APIs; databases that no journal is in; frameworks that Sentry watches; languages other than
Python that rich would highlight; translations and icons for desktops of Apprise; pydantic's first version; what
generates C.
"""

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

AWS_SERVICES = frozenset(
    {"cloudwatch", "codedeploy", "ec2", "ecs", "elbv2", "rds", "s3", "signin", "sqs", "ssm", "sso", "sso-oidc", "sts"}
)
"""Services that healthd asks, and those that the SDK asks for credentials: `signin`, `sso`, `sso-oidc` and `sts`."""

_SOURCES = {".c", ".cc", ".cpp", ".h", ".pxd", ".pxi", ".pyi", ".pyx"}
_OURS = ("healthd", "healthd_gates", "healthd_deploy")
_TESTS = {  # which nothing imports
    "aioitertools/tests", "aiosqlite/tests", "alembic/testing", "certifi/tests", "greenlet/tests", "regex/tests",
    "sqlalchemy/testing",
}  # fmt: skip
_PARTS = {  # as above; none of them is imported, nor read, by healthd or by what it imports
    "docs", "examples",  # of aiomysql, beside itself
    "apprise/assets/themes", "apprise/i18n/*/LC_MESSAGES", "botocore/data/*/*/examples-1.json", "cffi", "pycparser",
    "pydantic/v1", "sqlalchemy/dialects/mssql", "sqlalchemy/dialects/mysql", "sqlalchemy/dialects/oracle",
}  # fmt: skip
_LEXERS = {"__init__.py", "_mapping.py", "python.py"}  # rich shows an exception's lines by the last, and fails without
_INTEGRATIONS = {  # of Sentry, for Python itself
    "__init__.py", "argv.py", "atexit.py", "dedupe.py", "excepthook.py", "logging.py", "modules.py", "stdlib.py",
    "threading.py",
}  # fmt: skip


def unread(packages: Path) -> Iterator[Path]:
    """Yield the files and folders of site-packages that nothing reads at run time."""
    yield from packages.rglob("__pycache__")  # what is left is compiled afterwards
    for part in sorted(_TESTS | _PARTS):
        yield from packages.glob(part)
    for file in packages.rglob("*"):
        if file.suffix in _SOURCES and file.relative_to(packages).parts[0] not in _OURS:
            yield file
    for service in packages.glob("botocore/data/*/"):
        versions = sorted(service.glob("*/"))
        yield from versions[:-1] if service.name in AWS_SERVICES else (service,)  # the SDK takes the newest
    yield from _others(packages / "pygments/lexers", _LEXERS)
    yield from _others(packages / "sentry_sdk/integrations", _INTEGRATIONS)


def _others(folder: Path, kept: Collection[str]) -> Iterator[Path]:
    """Yield what else is in a folder."""
    yield from (path for path in folder.glob("*") if path.name not in kept)


def trim(packages: Path) -> None:
    """Delete what is unread, and strip compiled modules. Raises OSError where one cannot be loaded afterwards."""
    for path in list(unread(packages)):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    compiled = sorted(packages.rglob("*.so"))
    subprocess.run(["strip", "--strip-unneeded", *compiled], check=True)
    for module in compiled:
        ctypes.CDLL(str(module))


if __name__ == "__main__":
    trim(Path(sys.argv[1]))
