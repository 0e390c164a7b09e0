"""`trim.py FOLDER`: takes out of an environment's packages what nothing reads at run time, a third of the image.

That is: debug symbols of compiled modules (binutils' `strip`), tests, C sources and stubs that packages bring, the
SDK's descriptions of AWS services that healthd never asks, and the lexers by which rich would highlight source code
that is not Python.
"""

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

AWS_SERVICES = frozenset(
    {"cloudwatch", "codedeploy", "ec2", "ecs", "elbv2", "rds", "s3", "signin", "sqs", "ssm", "sso", "sso-oidc", "sts"}
)
"""What healthd asks, and what the SDK itself asks for credentials: `signin`, `sso`, `sso-oidc` and `sts`."""

_SOURCES = {".c", ".cc", ".cpp", ".h", ".pxd", ".pxi", ".pyi", ".pyx"}
_OURS = ("healthd", "healthd_gates", "healthd_deploy")
_TESTS = {  # which nothing imports
    "aioitertools/tests", "aiosqlite/tests", "alembic/testing", "certifi/tests", "greenlet/tests", "regex/tests",
    "sqlalchemy/testing",
}  # fmt: skip


def unread(packages: Path) -> Iterator[Path]:
    """Yield the files and folders of site-packages that nothing reads at run time."""
    yield from packages.rglob("__pycache__")  # what is left is compiled afterwards
    for tests in sorted(_TESTS):
        yield from packages.glob(tests)
    for file in packages.rglob("*"):
        if file.suffix in _SOURCES and file.relative_to(packages).parts[0] not in _OURS:
            yield file
    for folder in packages.glob("botocore/data/*"):
        if folder.is_dir() and folder.name not in AWS_SERVICES:
            yield folder
    for lexer in packages.glob("pygments/lexers/[a-z]*.py"):
        if lexer.name != "python.py":  # by which rich shows the lines of an exception, and fails without it
            yield lexer


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
