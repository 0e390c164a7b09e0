"""The address and credentials of a cluster: from the pod's service account, or from a kubeconfig read as kubectl reads
it.

Nothing is cached for the life of the process, and nothing is left on disk: a rollback comes weeks after the last one,
and files under /tmp are gone by then. Rules: k8s.io/client-go/tools/clientcmd and rest.
"""

from __future__ import annotations

import base64
import binascii
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from healthd.kubernetes.exec_plugin import ExecPlugin
from healthd.kubernetes.failures import CredentialsError

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_GONE = {"gcp": "gke-gcloud-auth-plugin", "azure": "kubelogin"}  # auth-provider → the exec plugin in its place


@dataclass(frozen=True, slots=True)
class Access:
    """A server and its credentials. Those that a `plugin` has still to provide are not in it yet."""

    server: str
    authority: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    authorization: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    server_name: str | None = None
    proxy: str | None = None
    is_verified: bool = True
    plugin: ExecPlugin | None = None

    async def complete(self) -> Access:
        """Return the access with the plugin's credentials added. Raises CredentialsError."""
        if self.plugin is None:
            return self
        said = await self.plugin.run()
        token = said.get("token")
        return replace(
            self,
            authorization=f"Bearer {str(token).strip()}" if token else None,
            certificate=_text(said, "clientCertificateData"),
            key=_text(said, "clientKeyData"),
            plugin=None,
        )

    def tls(self) -> ssl.SSLContext:
        """Return the TLS context for connections to the server. Raises CredentialsError."""
        try:
            context = ssl.create_default_context(
                cadata=self.authority.decode("ascii", "ignore") if self.authority else None
            )
            # Authorities of clusters lack what OpenSSL's strict mode asks for, and Go's clients do not ask for it.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            if not self.is_verified:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if self.certificate and self.key:
                with tempfile.NamedTemporaryFile(prefix="healthd-", suffix=".pem") as file:  # mode 600, gone at once
                    file.write(self.certificate.rstrip(b"\n") + b"\n" + self.key)
                    file.flush()
                    context.load_cert_chain(file.name, password="")
        except (ssl.SSLError, ValueError) as error:
            raise CredentialsError(f"its certificates cannot be used: {error}") from None
        except OSError as error:
            raise CredentialsError(f"the client certificate cannot be loaded: {error.strerror}") from None
        return context


def find(kubeconfig: Path | None, context: str | None, environ: Mapping[str, str]) -> Access:
    """Find the access by the configuration; else by the pod's service account, else by $KUBECONFIG or ~/.kube/config.
    Raises CredentialsError. Reads files: not for the event loop.
    """
    if kubeconfig is not None:
        return _read([kubeconfig], context, environ)
    in_pod = bool(environ.get("KUBERNETES_SERVICE_HOST"))
    if context is None and in_pod and (_SERVICE_ACCOUNT / "token").is_file():
        return _in_cluster(environ)
    listed = [Path(part).expanduser() for part in environ.get("KUBECONFIG", "").split(":") if part]
    files = [file for file in listed or [Path.home() / ".kube" / "config"] if file.exists()]
    if files:
        return _read(files, context, environ)
    if in_pod:
        raise CredentialsError("this pod has no service account token: set automountServiceAccountToken, or kubeconfig")
    raise CredentialsError("no kubeconfig is there (kubeconfig, $KUBECONFIG, ~/.kube/config), and this is no pod")


def _in_cluster(environ: Mapping[str, str]) -> Access:
    host, port = environ["KUBERNETES_SERVICE_HOST"], environ.get("KUBERNETES_SERVICE_PORT", "443")
    return Access(
        f"https://{f'[{host}]' if ':' in host else host}:{port}",
        authority=_content(_SERVICE_ACCOUNT / "ca.crt", "the cluster's authority"),
        authorization=_bearer(_content(_SERVICE_ACCOUNT / "token", "the service account token"), "it"),
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """A cluster or user, and the folder to which its paths are relative."""

    what: str
    given: Mapping[str, Any]
    folder: Path

    def bytes_of(self, key: str) -> bytes | None:
        """Return the content of `KEY-data`, or of the file that `KEY` names."""
        if data := self.given.get(f"{key}-data"):
            try:
                return base64.b64decode("".join(str(data).split()), validate=True)
            except binascii.Error:
                raise CredentialsError(f"{self.what}: {key}-data is not base64") from None
        return _content(self.path(str(file)), f"{self.what}: {key}") if (file := self.given.get(key)) else None

    def path(self, name: str) -> Path:
        return self.folder / name


def _read(files: list[Path], name: str | None, environ: Mapping[str, str]) -> Access:
    """Read kubeconfig files and merge them as kubectl does: of each name the first entry counts."""
    found: dict[str, dict[str, _Entry]] = {"clusters": {}, "users": {}, "contexts": {}}
    current = name
    for file in files:
        config = _parsed(file)
        current = current or config.get("current-context") or None
        for kind, entries in found.items():
            for each in config.get(kind) or ():
                if not isinstance(each, Mapping) or not isinstance(each.get(kind[:-1]) or {}, Mapping):
                    raise CredentialsError(f"{file}: {kind} is not a list of names, each with its {kind[:-1]}")
                what = f"{kind[:-1]} {each.get('name')} of {file}"
                entries.setdefault(
                    str(each.get("name")), _Entry(what, each.get(kind[:-1]) or {}, file.absolute().parent)
                )
    shown = ", ".join(map(str, files))
    if current is None:
        raise CredentialsError(f"{shown}: no current-context, name one by `context`")
    context = _named(found, "contexts", current, shown)
    cluster = _named(found, "clusters", str(context.given.get("cluster")), shown)
    user = context.given.get("user")
    return _access(cluster, _named(found, "users", str(user), shown) if user else None, environ)


def _named(found: Mapping[str, Mapping[str, _Entry]], kind: str, name: str, shown: str) -> _Entry:
    if name not in found[kind]:
        there = ", ".join(sorted(found[kind])) or "none"
        raise CredentialsError(f"{shown}: no {kind[:-1]} {name!r} in it ({kind}: {there})")
    return found[kind][name]


def _access(cluster: _Entry, user: _Entry | None, environ: Mapping[str, str]) -> Access:
    server = cluster.given.get("server")
    if not server:
        raise CredentialsError(f"{cluster.what}: no server")
    access = Access(
        str(server).rstrip("/"),
        authority=cluster.bytes_of("certificate-authority"),
        server_name=cluster.given.get("tls-server-name"),
        proxy=cluster.given.get("proxy-url"),
        is_verified=not cluster.given.get("insecure-skip-tls-verify"),
    )
    if user is None:
        return access
    given = user.given
    access = replace(
        access,
        certificate=user.bytes_of("client-certificate"),
        key=user.bytes_of("client-key"),
        headers=_impersonation(given),
    )
    if plugin := given.get("exec"):
        return replace(access, plugin=ExecPlugin.configured(plugin, user.what, user.folder, environ, _told(cluster)))
    if file := given.get("tokenFile"):  # ahead of `token`, as in kubectl: it changes
        return replace(
            access, authorization=_bearer(_content(user.path(str(file)), f"{user.what}: tokenFile"), user.what)
        )
    if token := given.get("token"):
        return replace(access, authorization=_bearer(str(token).encode(), user.what))
    if "username" in given:
        login = base64.b64encode(f"{given['username']}:{given.get('password', '')}".encode()).decode()
        return replace(access, authorization=f"Basic {login}")
    return replace(access, authorization=_provided(given.get("auth-provider"), user.what))


def _provided(provider: Any, what: str) -> str | None:
    """Return the token of an auth-provider. kubectl supports only `oidc` now. The token is used, and not renewed: for
    that a person must sign in."""
    if not provider:
        return None
    name = provider.get("name")
    if name != "oidc":
        instead = f": use exec with {_GONE[name]}" if name in _GONE else ""
        raise CredentialsError(f"{what}: no kubectl knows the auth-provider {name} any more{instead}")
    token = (provider.get("config") or {}).get("id-token")
    if not token:
        raise CredentialsError(f"{what}: the auth-provider oidc has no id-token: use exec with kubectl-oidc_login")
    return f"Bearer {str(token).strip()}"


def _impersonation(given: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    names = {"as": "Impersonate-User", "as-uid": "Impersonate-Uid"}
    one = [(header, str(given[key])) for key, header in names.items() if given.get(key)]
    groups = [("Impersonate-Group", str(group)) for group in given.get("as-groups") or ()]
    extra = given.get("as-user-extra") or {}
    more = [(f"Impersonate-Extra-{key}", str(value)) for key, values in extra.items() for value in values]
    return (*one, *groups, *more)


def _told(cluster: _Entry) -> dict[str, Any]:
    """Return what a plugin with `provideClusterInfo` gets about the cluster."""
    authority = cluster.bytes_of("certificate-authority")
    keys = ("server", "tls-server-name", "insecure-skip-tls-verify", "proxy-url")
    told = {key: cluster.given[key] for key in keys if key in cluster.given}
    return told | ({"certificate-authority-data": base64.b64encode(authority).decode()} if authority else {})


def _bearer(token: bytes, what: str) -> str:
    """Return the token as text. Token files often end in a newline."""
    text = token.decode("ascii", "replace").strip()
    if not text or not text.isprintable() or " " in text or "\ufffd" in text:
        raise CredentialsError(f"{what}: the token is empty, or holds what no token can")
    return f"Bearer {text}"


def _parsed(file: Path) -> Mapping[str, Any]:
    try:
        config = YAML(typ="safe").load(_content(file, "the kubeconfig"))
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise CredentialsError(f"{file}{f':{mark.line + 1}' if mark else ''}: it is not YAML") from None
    if not isinstance(config, Mapping):
        raise CredentialsError(f"{file}: it is no kubeconfig")
    return config


def _content(file: Path, what: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CredentialsError(f"{what} {file} cannot be read: {error.strerror}") from None


def _text(said: Mapping[str, Any], key: str) -> bytes | None:
    return str(said[key]).encode() if said.get(key) else None
