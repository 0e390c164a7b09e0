"""Checks that ask AWS, against moto: their options, and clients that prepare what they find."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiobotocore.session import AioSession

from healthd.model import Result
from tests.integration.healthd.checks.probing import watched
from tests.servers.moto import Moto

REGION = "eu-west-1"
KEYS = {"access_key_id": "AKIA-MARK-0123", "secret_access_key": "s3cr3t-MARK-4567"}


def client(server: Moto, service: str) -> Any:
    """A client that prepares."""
    return AioSession().create_client(
        service, region_name=REGION, endpoint_url=server.url, aws_access_key_id="x", aws_secret_access_key="x"
    )


@asynccontextmanager
async def checked(kind: str, url: str, **options: Any) -> AsyncIterator[Any]:
    """A check at an endpoint."""
    given = {"region": REGION, "endpoint_url": url, "timeout": "30s"} | KEYS | options
    async with watched(kind, **given) as check:
        yield check


async def looked(kind: str, url: str, **options: Any) -> Result:
    """One probe of a check."""
    async with checked(kind, url, **options) as check:
        found: Result = await check.look()
    assert "MARK" not in repr(found)
    return found
