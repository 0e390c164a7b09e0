"""Reads the event of GitHub's webhook, checks its signature, and builds the gate that it asks for. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json
from yarl import URL

from healthd.validation_words import first_in_words
from healthd.wording import json_fault, shape
from healthd_gates.config.hooks.github import GitHubConfig, Rule
from healthd_gates.domain.callback import PendingCallback
from healthd_gates.domain.request import Deployment, VerifyRequest

DIALECT = "GitHub"
EVENT = "deployment_protection_rule"
_CALLBACK = re.compile(rf"(/api/v3)?/repos/(?P<repository>[^/]+/[^/]+)/actions/runs/(?P<run>[0-9]+)/{EVENT}")
_SHORT_SHA = 7
_TEXT = 200


class UnusableEventError(ValueError):
    """An event cannot be answered, or only by a rejection: what is wrong with which of its fields."""


class _Part(BaseModel):
    """GitHub may add fields; only those that matter here are checked."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Repository(_Part):
    id: int
    full_name: str = Field(pattern=shape(r"^[^/\s]+/[^/\s]+$", "an owner, a slash and a repository"))
    html_url: str | None = None


class Installation(_Part):
    id: int


class Sender(_Part):
    login: str


class GitHubDeployment(_Part):
    id: int
    sha: str | None = None
    ref: str | None = None


class ProtectionRule(_Part):
    """The event `deployment_protection_rule`."""

    action: Literal["requested"]
    environment: str = Field(min_length=1, max_length=255)
    deployment_callback_url: str
    repository: Repository
    sha: str | None = None
    ref: str | None = None
    deployment: GitHubDeployment | None = None
    installation: Installation | None = None
    sender: Sender | None = None

    @property
    def commit(self) -> str:
        return self.sha or (self.deployment and self.deployment.sha) or ""

    @property
    def branch_or_tag(self) -> str:
        ref = self.ref or (self.deployment and self.deployment.ref) or ""
        return re.sub(r"^refs/(heads|tags)/", "", ref)


def is_signed(secret: str, header: str | None, body: bytes) -> bool:
    """True if `X-Hub-Signature-256` is that of the body. The comparison takes constant time."""
    expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), (header or "").strip().encode("utf-8", "surrogateescape"))


def owed_for(body: bytes, hook: str, config: GitHubConfig) -> PendingCallback:
    """Return the callback that an event asks for. Raises UnusableEventError if nobody must, or could, be called back.

    Its key is the same for every delivery of one request, whatever the delivery's id; a rerun of a job asks for another
    deployment, and for a gate of its own.
    """
    event = _read(body)
    run = _run(event, config)
    deployment = str(event.deployment.id) if event.deployment else f"{event.sha} {event.ref}"
    same = "\n".join((str(event.repository.id), run, event.environment, deployment))
    address = {
        "url": event.deployment_callback_url,
        "environment": event.environment,
        "repository": event.repository.id,
        "installation": event.installation.id if event.installation else None,
    }
    key = f"{hook}:{run}:{hashlib.sha256(same.encode()).hexdigest()[:24]}"
    try:
        return PendingCallback(key, hook, address, _request(event, run, config))
    except UnusableEventError as refusal:
        return PendingCallback(key, hook, address, None, str(refusal))


def _read(body: bytes) -> ProtectionRule:
    """Validate only the parts of an event that matter: a validation error contains its input, and the rest is large."""
    try:
        document = from_json(body)
    except ValueError:
        raise UnusableEventError(f"it is not JSON: {_why_not_json(body)}") from None
    if isinstance(document, dict):
        document = {name: document[name] for name in ProtectionRule.model_fields if name in document}
    try:
        return ProtectionRule.model_validate(document)
    except ValidationError as error:
        raise UnusableEventError(first_in_words(error)) from None


def _why_not_json(body: bytes) -> str:
    try:
        json.loads(body)
    except RecursionError:
        return "it is nested too deeply"
    except ValueError as error:
        return json_fault(error)
    return "a text holds an escape that is half a character"


def _run(event: ProtectionRule, config: GitHubConfig) -> str:
    """Return the id of the workflow run, from an address that may be called."""
    refused = config.refuses(event.deployment_callback_url)
    if refused is not None:
        raise UnusableEventError(f"deployment_callback_url: {refused}")
    match = _CALLBACK.fullmatch(URL(event.deployment_callback_url).path)
    if match is None or match["repository"].lower() != event.repository.full_name.lower():
        problem = f"is not that of a run of {event.repository.full_name}"
        raise UnusableEventError(f"deployment_callback_url: {problem}")
    return match["run"]


def _request(event: ProtectionRule, run: str, config: GitHubConfig) -> VerifyRequest:
    """Return the request for a gate. Raises UnusableEventError: then the deployment is rejected, and its people see
    why."""
    repository = event.repository
    rule = config.rule_for(repository.full_name, event.environment)
    if rule is None:
        raise UnusableEventError(f"No rule is for the environment {event.environment} of {repository.full_name}.")
    page = f"{repository.html_url}/actions/runs/{run}" if repository.html_url else None
    try:
        shown = Deployment(
            id=f"{repository.full_name} run {run}"[:_TEXT],
            url=page[:_TEXT] if page else None,
            actor=event.sender.login[:_TEXT] if event.sender else None,
        )
        request = rule.request(_version(event, rule), run, DIALECT)
    except ValidationError as error:
        raise UnusableEventError(f"It does not say what is deployed: {first_in_words(error)}") from None
    return request.model_copy(update={"deployment": shown})


def _version(event: ProtectionRule, rule: Rule) -> str:
    match rule.version:
        case "ref":
            return event.branch_or_tag
        case "short_sha":
            return event.commit[:_SHORT_SHA]
        case _:
            return event.commit
