"""The part of a cluster's API that rollbacks and checks need: get an object, list some, patch one, review one's own
rights. Objects stay plain JSON, since models would drop fields of newer clusters.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import aiohttp
from multidict import CIMultiDict

from healthd import __version__
from healthd.http.no_proxy import proxy_for
from healthd.http.outgoing import DIRECT
from healthd.http.session import new_session
from healthd.kubernetes.failures import ApiRefusal, CredentialsError
from healthd.kubernetes.kubeconfig import Access, find

Object = Mapping[str, Any]
_LARGEST_REFUSAL = 1024**2
_PAGE = 250  # objects of a list at a time: to parse a node takes the event loop, in whatever thread, 0.2 ms
_PATCHES = {"merge": "application/merge-patch+json", "json": "application/json-patch+json"}
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
MANAGER = "healthd"
"""The field manager's name that changes have in `managedFields`."""


@dataclass(frozen=True, slots=True)
class Patch:
    """A change of one object: a merge patch, or a list of JSON Patch operations (RFC 7386, RFC 6902)."""

    path: str
    kind: Literal["merge", "json"]
    body: Mapping[str, Any] | Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Right:
    """A right that a role grants. `resource` may name a subresource after a slash."""

    verb: str
    group: str
    resource: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{f' {self.name}' if self.name else ''}"


class Cluster:
    """One cluster, reached by the kubeconfig or the pod's service account."""

    def __init__(self, kubeconfig: Path | None, context: str | None, environ: Mapping[str, str]) -> None:
        self._kubeconfig, self._context, self._environ = kubeconfig, context, environ
        self._session: aiohttp.ClientSession | None = None
        self._access: Access | None = None

    @property
    def server(self) -> str | None:
        """Address of the API server, None while it is not known."""
        return self._access.server if self._access is not None else None

    async def get(self, path: str, **query: str) -> Object:
        """Return an object. Raises ApiRefusal, CredentialsError, and what aiohttp raises."""
        return await self._call("GET", path, query)

    async def list(self, path: str, labels: Mapping[str, str]) -> Sequence[Object]:
        """Return the objects that have all the labels. Raises as `get`."""
        asked = {"labelSelector": ",".join(f"{name}={value}" for name, value in sorted(labels.items()))}
        found = list[Object]()
        while True:
            page = await self.get(path, **asked, limit=str(_PAGE))
            found += page["items"]
            if not (further := (page.get("metadata") or {}).get("continue")):
                return found
            asked["continue"] = further

    async def patch(self, change: Patch) -> Object:
        """Apply a patch and return the object after it. Raises as `get`."""
        return await self._call("PATCH", change.path, {"fieldManager": MANAGER}, change.body, _PATCHES[change.kind])

    async def may(self, right: Right, namespace: str) -> bool:
        """True if the caller's credentials have a right. Raises as `get`."""
        resource, _, part = right.resource.partition("/")
        asked = {
            "namespace": namespace,
            "verb": right.verb,
            "group": right.group,
            "resource": resource,
            "subresource": part,
            "name": right.name,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked},
        }
        said = await self._call("POST", _REVIEWS, {}, review)
        return bool((said.get("status") or {}).get("allowed"))

    async def close(self) -> None:
        """Drop every connection; the next call reads the credentials again."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _call(
        self, method: str, path: str, query: Mapping[str, str], body: Any = None, content_type: str = "application/json"
    ) -> Object:
        session, access = await self._connected()
        async with session.request(
            method,
            f"{access.server}{path}",
            params=query,
            data=None if body is None else json.dumps(body).encode(),
            headers={} if body is None else {"Content-Type": content_type},
            proxy=access.proxy,
            server_hostname=access.server_name,
            allow_redirects=False,
        ) as response:
            if response.status >= 300:
                said = await response.content.read(_LARGEST_REFUSAL)
                raise ApiRefusal.read(response.status, said, response.headers)
            answer: Object = json.loads(await response.read())
        return answer

    async def _connected(self) -> tuple[aiohttp.ClientSession, Access]:
        if self._session is not None and self._access is not None:
            return self._session, self._access
        found = await asyncio.to_thread(find, self._kubeconfig, self._context, self._environ)
        access = await found.complete()
        proxy = access.proxy or proxy_for(access.server, self._environ)
        if proxy and not proxy.startswith(("http://", "https://")):
            raise CredentialsError(f"the proxy for {access.server} is none of http or https: no other can be used")
        self._access = access = replace(access, proxy=proxy)
        headers = CIMultiDict(access.headers, Accept="application/json")
        headers["User-Agent"] = f"{MANAGER}/{__version__}"
        if access.authorization is not None:
            headers["Authorization"] = access.authorization
        self._session = new_session(await asyncio.to_thread(access.tls), headers=headers, proxy=DIRECT)
        return self._session, access
