"""A credential plugin of a kubeconfig: a program that prints a token or a certificate. It ends with the call that needs
it. Rules: k8s.io/client-go/plugin/pkg/client/auth/exec.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from healthd.kubernetes.failures import CredentialsError

_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_SHOWN = 500  # characters of its stderr, from the end


@dataclass(frozen=True, slots=True)
class ExecPlugin:
    """The command to run and its environment. `what` names the user of the kubeconfig."""

    what: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    api_version: str
    hint: str
    cluster: Mapping[str, Any] | None

    @classmethod
    def configured(
        cls, given: Mapping[str, Any], what: str, folder: Path, environ: Mapping[str, str], cluster: Mapping[str, Any]
    ) -> ExecPlugin:
        """Build from a kubeconfig. A command with a slash is relative to the kubeconfig, any other is looked up in
        PATH. Raises CredentialsError: also for a missing command, before it is needed.
        """
        command, version = str(given.get("command") or ""), str(given.get("apiVersion") or "")
        if not command:
            raise CredentialsError(f"{what}: exec has no command")
        if version not in _VERSIONS:
            raise CredentialsError(f"{what}: exec has the apiVersion {version or 'none'}, not {' or '.join(_VERSIONS)}")
        if given.get("interactiveMode") == "Always":
            raise CredentialsError(f"{what}: exec wants a person at a terminal (interactiveMode: Always)")
        added = {str(each["name"]): str(each["value"]) for each in given.get("env") or ()}
        hint = " ".join(str(given.get("installHint") or "").split())
        program = str(folder / command) if "/" in command else command
        found = shutil.which(program, path=environ.get("PATH"))
        if found is None:
            raise CredentialsError(f"{what}: exec plugin {program} is not there or not executable{_told(hint)}")
        argv = (found, *map(str, given.get("args") or ()))
        return cls(
            what, argv, {**environ, **added}, version, hint, cluster if given.get("provideClusterInfo") else None
        )

    async def run(self) -> Mapping[str, Any]:
        """Run the plugin and return the `status` of the credential that it prints. Raises CredentialsError."""
        spec = {"interactive": False} | ({"cluster": dict(self.cluster)} if self.cluster is not None else {})
        asked = {"apiVersion": self.api_version, "kind": "ExecCredential", "spec": spec}
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *self.argv,
                env={**self.env, "KUBERNETES_EXEC_INFO": json.dumps(asked)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        )
        try:
            process = await asyncio.shield(starting)
        except OSError as error:
            raise CredentialsError(f"{self._name} cannot be run: {error.strerror}{_told(self.hint)}") from None
        except asyncio.CancelledError:  # it may run already: nothing of it stays behind
            await _end(await starting)
            raise
        try:
            out, err = await process.communicate()
        finally:
            await _end(process)
        if process.returncode:
            said = " ".join(err.decode(errors="replace").split())[-_SHOWN:]
            raise CredentialsError(f"{self._name} ended with {process.returncode}{f': {said}' if said else ''}")
        return self._status(out)

    def _status(self, out: bytes) -> Mapping[str, Any]:
        try:
            said = json.loads(out)
            version, status = said["apiVersion"], said["status"]
        except (ValueError, KeyError, TypeError):
            raise CredentialsError(f"{self._name} did not print an ExecCredential with a status") from None
        if version != self.api_version:
            raise CredentialsError(f"{self._name} speaks {version}, and the kubeconfig {self.api_version}")
        if not isinstance(status, Mapping) or not (status.get("token") or status.get("clientCertificateData")):
            raise CredentialsError(f"{self._name} printed neither a token nor a certificate")
        return status

    @property
    def _name(self) -> str:
        return f"{self.what}: exec plugin {self.argv[0]}"


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the whole process group when the call was cancelled."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _told(hint: str) -> str:
    return f": {hint}" if hint else ""
