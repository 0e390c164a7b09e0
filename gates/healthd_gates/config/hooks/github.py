"""The options of the GitHub hook: whose events to accept, whom to call back with which credentials, and the gate of
each environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, SecretStr, StringConstraints, model_validator
from yarl import URL

from healthd.config.model import Model
from healthd.labels import matches
from healthd.runtime.credential import APIKey
from healthd.units import Duration, Span
from healthd.wording import shape
from healthd_gates.config.hooks.contract import Deploys, HookConfig
from healthd_gates.sources.http_options import Tls


def _rsa_key(pem: SecretStr) -> SecretStr:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.get_secret_value().encode(), password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("is not an RSA key in PEM: give the file that GitHub made, as ${file:/path/to/key.pem}")
    return pem


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?", text):
        raise ValueError("write a host, such as api.github.com, or host:port; no scheme and no path")
    return text.lower()


def _as_text(raw: Any) -> Any:
    return str(raw) if isinstance(raw, int) else raw


AppId = Annotated[
    str,
    BeforeValidator(_as_text),
    StringConstraints(
        pattern=shape(r"^[A-Za-z0-9._-]{1,64}$", "at most 64 letters, digits, dots, dashes and underscores")
    ),
]


class App(Model):
    """The GitHub App that the protection rule belongs to."""

    model_config = ConfigDict(hide_input_in_errors=True)

    id: AppId
    """The App ID, or the Client ID, from its settings page."""
    private_key: Annotated[SecretStr, AfterValidator(_rsa_key)]
    """Its private key in PEM, such as `${file:/run/secrets/github-app.pem}`."""


class Rule(Deploys):
    """The gate for an environment."""

    repository: str = "*"
    """`owner/name`; `*` stands for any characters."""
    environment: str = "*"
    """The environment's name; `*` stands for any characters."""
    version: Literal["sha", "short_sha", "ref"] = "sha"
    """The name of the new version: the commit, its first seven characters, or the branch or tag."""


class GitHubConfig(HookConfig):
    """Answers GitHub's deployment protection rules."""

    model_config = ConfigDict(hide_input_in_errors=True)

    kind: Literal["github"]
    secret: SecretStr = Field(min_length=16)
    """The webhook's secret, at least 16 characters."""
    app: App | None = None
    """The GitHub App that answers."""
    token: APIKey | None = None
    """A token to answer with, instead of an app."""
    hosts: tuple[Annotated[str, AfterValidator(_host)], ...] = Field(("api.github.com",), min_length=1)
    """The hosts that may be called back, with `:port` where it is not 443."""
    plain_http: bool = False
    """True if the hosts may be called without TLS."""
    tls: Tls = Tls()
    """Verification of the hosts' certificates, and the client certificate."""
    rules: tuple[Rule, ...] = Field(min_length=1)
    """The gate of each environment; the first rule that matches counts, and without one the deployment is rejected."""
    wait_timeout: Span = 3600.0
    """Time that a gate may wait to start, behind another one, a lock or a freeze, before the deployment is rejected."""
    retry_for: Duration = 30 * 86400.0
    """Time for which an answer is retried, counted from the verdict; GitHub itself waits for 30 days."""

    @model_validator(mode="after")
    def _answers_as_someone(self) -> Self:
        if (self.app is None) == (self.token is None):
            raise ValueError("give either app, with id and private_key, or token: GitHub must know who answers")
        return self

    def deploys(self) -> Iterable[Deploys]:
        return self.rules

    def rule_for(self, repository: str, environment: str) -> Rule | None:
        """Return the first rule for this environment of this repository; GitHub's names are case-insensitive."""
        for rule in self.rules:
            in_repository = matches(repository.lower(), (rule.repository.lower(),))
            if in_repository and matches(environment.lower(), (rule.environment.lower(),)):
                return rule
        return None

    def refuses(self, address: str) -> str | None:
        """Return why an address must not be called; None for one that may."""
        try:
            url = URL(address)
            host, port, named = url.host, url.port, url.user or url.password
        except ValueError:
            return "is not an address"
        if url.scheme not in ("https", "http") or host is None or port is None or named:
            return "is not an address that could be called back"
        if url.scheme == "http" and not self.plain_http:
            return "is not https, and plain_http does not allow that"
        if f"{host}:{port}" not in self.hosts and not (url.is_default_port() and host in self.hosts):
            return f"{host}:{port} is not under hosts"
        return None
