"""Access to the cluster through `kubectl`: read an object, list pods, patch an object. Credentials are kubectl's
own."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from healthd_deploy.core import program
from healthd_deploy.core.exit import NoAnswer, StepFailed
from healthd_deploy.kubernetes.settings import Kubectl

Object = Mapping[str, Any]
Operation = Mapping[str, Any]
"""Operation of a JSON Patch, RFC 6902."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 10.0  # seconds between two calls while there is no answer
# kubectl's messages when there was no answer, or the server is not working; any other message is an answer.
_NO_ANSWER = re.compile(
    r"unable to connect to the server|the connection to the server .* was refused|couldn't get current server API|"
    r"TLS handshake timeout|i/o timeout|deadline exceeded|Client\.Timeout|unexpected EOF|connection (refused|reset)|"
    r"etcdserver: |currently unable to handle the request|"
    r"from server \((ServiceUnavailable|InternalError|Timeout|ServerTimeout|TooManyRequests)\)",
    re.IGNORECASE,
)


class Cluster:
    """One namespace of a cluster. Every method raises StepFailed with kubectl's message, NoAnswer where the cluster did
    not answer."""

    def __init__(self, config: Kubectl, namespace: str) -> None:
        self._within, self._retry_for = config.timeout, config.retry_for
        self._call = [config.program, f"--request-timeout={config.timeout:g}s", f"--namespace={namespace}"]
        if config.kubeconfig is not None:
            self._call.append(f"--kubeconfig={config.kubeconfig}")
        if config.context is not None:
            self._call.append(f"--context={config.context}")

    async def get(self, kind: str, name: str, *, patient: bool = True) -> Object:
        return await self._json("get", kind, name, patient=patient)

    async def pods(self, labels: Mapping[str, str]) -> Sequence[Object]:
        """Return the pods that have all the labels."""
        selector = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
        found: Sequence[Object] = (await self._json("get", "pods", f"--selector={selector}"))["items"]
        return found

    async def endpoints(self, service: str) -> Sequence[Object]:
        """Return the EndpointSlices of a Service."""
        listed = await self._json("get", "endpointslices", f"--selector=kubernetes.io/service-name={service}")
        found: Sequence[Object] = listed["items"]
        return found

    async def patch(
        self, kind: str, name: str, change: Sequence[Operation] | Object, *, how: Literal["json", "merge"] = "json"
    ) -> Object:
        """Apply all of the operations, or none when a test among them fails; or a merge patch, refused where it names
        another version of the object. Return the object after it."""
        return await self._json("patch", kind, name, f"--type={how}", f"--patch={json.dumps(change)}")

    async def _json(self, *words: str, patient: bool = True) -> Object:
        """Run kubectl, with retries for `retry_for` while there is no answer: a patch establishes a state, and tests
        the one it was made for, so that it may be sent twice."""
        until, pause = time.monotonic() + self._retry_for * patient, _FIRST_PAUSE
        while True:
            try:
                return await self._once(*words)
            except NoAnswer:
                if time.monotonic() + pause > until:
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _once(self, *words: str) -> Object:
        try:
            said = await program.run([*self._call, *words, "--output=json"], within=self._within + 5)
        except program.ProgramTimedOut as late:
            raise NoAnswer(str(late)) from None
        except StepFailed as failed:
            if _NO_ANSWER.search(str(failed)):
                raise NoAnswer(str(failed)) from None
            raise
        found: Object = json.loads(said)
        return found


def pointer(*way: str | int) -> str:
    """Return the JSON Pointer (RFC 6901) of a place in an object."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in way)
