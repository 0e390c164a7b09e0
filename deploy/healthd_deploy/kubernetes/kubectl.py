"""The cluster through `kubectl`: read an object, list pods, patch an object. Credentials are kubectl's own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from healthd_deploy.core import program
from healthd_deploy.kubernetes.settings import Kubectl

Object = Mapping[str, Any]
Operation = Mapping[str, Any]
"""One of JSON Patch, RFC 6902."""


class Cluster:
    """One namespace of a cluster. Every method raises StepFailed with what kubectl said."""

    def __init__(self, config: Kubectl, namespace: str) -> None:
        self._within = config.timeout
        self._call = [config.program, f"--request-timeout={config.timeout:g}s", f"--namespace={namespace}"]
        if config.kubeconfig is not None:
            self._call.append(f"--kubeconfig={config.kubeconfig}")
        if config.context is not None:
            self._call.append(f"--context={config.context}")

    async def get(self, kind: str, name: str) -> Object:
        return await self._json("get", kind, name)

    async def pods(self, labels: Mapping[str, str]) -> Sequence[Object]:
        """Those that have all the labels."""
        selector = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
        found: Sequence[Object] = (await self._json("get", "pods", f"--selector={selector}"))["items"]
        return found

    async def patch(self, kind: str, name: str, operations: Sequence[Operation]) -> Object:
        """All of the operations, or none when a test among them fails. The object as it is then."""
        return await self._json("patch", kind, name, "--type=json", f"--patch={json.dumps(operations)}")

    async def _json(self, *words: str) -> Object:
        said = await program.run([*self._call, *words, "--output=json"], within=self._within + 5)
        found: Object = json.loads(said)
        return found


def pointer(*way: str | int) -> str:
    """The JSON Pointer (RFC 6901) of a place in an object."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in way)
