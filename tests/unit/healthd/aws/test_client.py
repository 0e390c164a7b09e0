"""Clients of AWS: what each reads for itself, and what they share."""

from typing import Any

import pytest
from botocore.loaders import JSONFileLoader

from healthd.aws.client import new_client


async def credentials_of_a_new_client() -> str:
    async with new_client("elbv2", region="us-east-1", endpoint="http://127.0.0.1:9", timeout=1) as client:
        return str((await client._request_signer._credentials.get_frozen_credentials()).access_key)


async def test_a_service_is_described_once_and_credentials_are_found_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A description takes a tenth of a second to read; an action has a client for each of its attempts."""
    read: list[str] = []
    load = JSONFileLoader.load_file

    def noting(loader: JSONFileLoader, path: str) -> Any:
        read.append(path)
        return load(loader, path)

    monkeypatch.setattr(JSONFileLoader, "load_file", noting)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "first")
    assert await credentials_of_a_new_client() == "first"
    read.clear()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "second")
    assert await credentials_of_a_new_client() == "second"
    assert read == []
