"""The webhook of a GitHub App. GitHub disconnects after ten seconds and does not retry: its request is stored and
acknowledged, and answered by `hooks.callback_worker` when there is a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, PrivateAttr

from healthd.config.model import Model
from healthd.web.auth import Caller, Guard
from healthd.web.problems import Problem
from healthd.web.refusals import Reason
from healthd_gates.api.bodies import body_of
from healthd_gates.api.operation import Answer, Call, Header, Nothing, Operation
from healthd_gates.api.responses import answer
from healthd_gates.config.hooks.github import GitHubConfig
from healthd_gates.hooks.contract import SCOPE
from healthd_gates.hooks.github.event import EVENT, UnusableEventError, is_signed, owed_for
from healthd_gates.hooks.runs import Runs

_LONGEST_EVENT = 512 * 1024  # it carries whole pull requests


class Event(Model):
    """An event as GitHub describes it; its kind is in the header `X-GitHub-Event`."""

    model_config = ConfigDict(extra="allow")
    _raw: bytes = PrivateAttr(b"")

    @property
    def raw(self) -> bytes:
        return self._raw

    @classmethod
    def of(cls, raw: bytes, _model: object = None) -> Event:
        """Keep the bytes unread: an event that GitHub did not sign must not be parsed, nor most of one that it did."""
        event = cls()
        event._raw = raw
        return event


class Heard(BaseModel):
    """The result of an event."""

    event: str
    heard: Literal["pong", "accepted", "known", "ignored"]


class GitHubWebhook:
    """The operation on `/hooks/github`."""

    config_model = GitHubConfig

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def operations(self) -> Sequence[Operation]:
        return [
            Operation(
                "github", "POST", "/hooks/github/{hook}", SCOPE,
                "The webhook of a GitHub App with a deployment protection rule. It is signed with the hook's secret.",
                self._answer,
                {
                    200: Answer("A ping, or an event that is of no concern here.", Heard),
                    202: Answer("Heard: GitHub is called back with the verdict.", Heard),
                },
                {404: "No such hook."},
                body=Event,
                headers={
                    "X-GitHub-Event": Header("Which event it is.", r"^[a-z_]{1,64}$"),
                    "X-Hub-Signature-256": Header("HMAC-SHA-256 of the body.", r"^sha256=[0-9a-f]{64}$"),
                },
                admit=self._admit, told_by_body=True, largest_body=_LONGEST_EVENT, parse=Event.of,
            ),
        ]  # fmt: skip

    async def _admit(self, request: web.Request, guard: Guard, _scope: str) -> Caller:
        """Authenticate by the webhook's secret. Raises Problem 401, and 404 if there is no such hook."""
        name = request.match_info["hook"]
        secret = self._runs.hook(GitHubConfig, name).secret.get_secret_value()
        if not is_signed(secret, request.headers.get("X-Hub-Signature-256"), body_of(request) or b""):
            guard.refused(Reason.BAD_SIGNATURE, request)
            raise Problem(
                401, "Unauthorized", "X-Hub-Signature-256 is not the signature of this body by the hook's secret"
            )
        if (body_of(request) or b"").startswith(b"payload="):
            problem = "the event came as a form: set the webhook's content type to application/json at GitHub"
            raise Problem(415, "Not JSON", problem)
        return Caller(f"hook:{name}", frozenset({SCOPE}))

    async def _answer(self, call: Call[Event, Nothing]) -> web.Response:
        event = call.request.headers.get("X-GitHub-Event", "")
        if event == "ping":
            return answer(Heard(event=event, heard="pong"))
        if event != EVENT:
            return answer(Heard(event=event[:64], heard="ignored"))
        config = self._runs.hook(GitHubConfig, call.hook)
        try:
            owed = owed_for(call.body.raw, call.hook, config)
        except UnusableEventError as error:
            raise Problem(422, "The event cannot be answered", str(error)) from None
        is_new = await self._runs.callback_worker.owe(owed)
        return answer(Heard(event=event, heard="accepted" if is_new else "known"), 202)
