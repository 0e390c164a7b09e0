"""Optional packages, by the extra of pyproject.toml that brings them.

A message names the package itself: healthd runs from a checkout, a wheel or an image, and the name of its distribution
means something in none of them.
"""

from typing import Final

PACKAGES: Final = {
    "apprise": "apprise>=2.3,<3",
    "aws": "aiobotocore>=2.22,<4",
    "grpc": "h2>=4.2,<5",
    "mysql": "aiomysql>=0.3,<0.4",
    "otlp": "opentelemetry-proto>=1.30,<2",
}


def how_to_get(extra: str) -> str:
    """Return what to install, in the environment that healthd runs in."""
    return f'pip install "{PACKAGES[extra]}", the extra {extra}'


def extra_of(package: str) -> str | None:
    """Return the extra that brings a package; None where none does."""
    return next((extra for extra, wanted in PACKAGES.items() if wanted.partition(">")[0] == package), None)
