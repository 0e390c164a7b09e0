"""A cluster's API as far as a rollback needs it: read an object, list some, patch one. Objects stay plain JSON, since
models of the SDK would drop what a newer cluster has more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Object = Mapping[str, Any]
_LARGEST = 16 * 1024**2
_PATCHES = {"merge": "application/merge-patch+json", "json": "application/json-patch+json"}


class ApiRefusal(Exception):  # noqa: N818 - an answer, not an error of ours
    """The API said no. `status` is that of HTTP."""

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        super().__init__(f"the Kubernetes API answered {status}{f': {reason}' if reason else ''}")


@dataclass(frozen=True, slots=True)
class Patch:
    """A change of one object: a merge patch, or a list of JSON Patch operations (RFC 7386, RFC 6902)."""

    path: str
    kind: Literal["merge", "json"]
    body: Mapping[str, Any] | Sequence[Mapping[str, Any]]


class Cluster:
    """One cluster, as the kubeconfig or the pod's service account says."""

    def __init__(self, kubeconfig: Path | None, context: str | None) -> None:
        self._kubeconfig, self._context = kubeconfig, context
        self._client: Any = None

    async def get(self, path: str, **query: str) -> Object:
        """Raises ApiRefusal, and what the SDK and aiohttp raise."""
        return await self._call("GET", path, query, None, "application/json")

    async def list(self, path: str, labels: Mapping[str, str]) -> Sequence[Object]:
        """Those that have all the labels. Raises as `get`."""
        selector = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
        found: Sequence[Object] = (await self.get(path, labelSelector=selector))["items"]
        return found

    async def patch(self, change: Patch) -> Object:
        """The object as it is then. Raises as `get`."""
        return await self._call("PATCH", change.path, {}, change.body, _PATCHES[change.kind])

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def _call(self, method: str, path: str, query: Mapping[str, str], body: Any, content_type: str) -> Object:
        client = self._client or await self._connect()
        response = await client.call_api(
            path,
            method,
            query_params=list(query.items()),
            header_params={"Accept": "application/json", "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
            _preload_content=False,
        )
        async with response:
            said = await response.content.read(_LARGEST) if response.status >= 300 else await response.read()
        if response.status >= 300:
            raise ApiRefusal(response.status, _reason(said))
        answer: Object = json.loads(said)
        return answer

    async def _connect(self) -> Any:
        client, config = await asyncio.to_thread(_sdk)
        settings = client.Configuration()
        if self._kubeconfig is None and self._context is None:
            try:
                config.load_incluster_config(client_configuration=settings)
            except config.ConfigException:  # not in a pod: as kubectl does
                await config.load_kube_config(client_configuration=settings)
        else:
            file = str(self._kubeconfig) if self._kubeconfig else None
            await config.load_kube_config(file, self._context, settings, persist_config=False)
        self._client = client.ApiClient(settings)
        return self._client


def _sdk() -> tuple[Any, Any]:
    """Imported when it is needed, which takes a second."""
    from kubernetes_asyncio import client, config

    return client, config


def _reason(said: bytes) -> str:
    try:
        return str(json.loads(said).get("message", ""))[:300]
    except (ValueError, AttributeError):
        return ""
