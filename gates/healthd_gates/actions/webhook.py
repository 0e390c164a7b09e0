"""Action `webhook`: calls an HTTP endpoint with JSON by POST, signed, and with an idempotency key."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import Awaitable
from contextlib import suppress
from typing import Annotated, Any, ClassVar, Literal, Self

import aiohttp
from pydantic import AfterValidator, Field, SecretStr, model_validator
from yarl import URL

from healthd.checks.connect import Endpoint
from healthd.checks.oauth2 import OAuth2, TokenError, Tokens
from healthd.checks.proxy_option import ProxyOption, own_proxy
from healthd.checks.unreachable import why_unreached
from healthd.http.outgoing import relayed
from healthd.http.retry_after import seconds_to_wait
from healthd.http.session import new_session
from healthd.model import FailureKind
from healthd.runtime.web_address import SecretHttpUrl
from healthd.units import stamp
from healthd.wording import excerpt
from healthd_gates.actions.contract import ActionConfig, ActionContext, ActionRequest, ActionResult, Ending
from healthd_gates.sources.http_options import Tls

_LONGEST_ANSWER = 16_384  # bytes of the answer that are read
_SHOWN = 200
_SAYING = 2.0  # seconds for the body after a status that decides already
_TRY_AGAIN = (408, 409, 425, 429)
_OWN_HEADERS = frozenset(
    {"accept-encoding", "content-type", "content-length", "host", "idempotency-key", "x-healthd-signature"}
)


def _free_headers(headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise ValueError(f"{name!r} is not the name of a header")
        if name.lower() in _OWN_HEADERS:
            raise ValueError(f"{name} is set by the webhook itself")
        if not value.get_secret_value().isprintable():
            raise ValueError(f"{name} has characters that a header cannot carry")
    return headers


class WebhookConfig(ActionConfig):
    kind: Literal["webhook"] = "webhook"
    url: SecretHttpUrl
    """The address to POST to; treated as a secret, since addresses often contain one."""
    secret: SecretStr | None = Field(None, min_length=16)
    """The key of the signature in `X-Healthd-Signature`, at least 16 characters; unsigned without one."""
    headers: Annotated[dict[str, SecretStr], AfterValidator(_free_headers)] = Field(default_factory=dict)
    """More headers to send, such as Authorization; they are treated as secrets."""
    tls: Tls = Tls()
    """Verification of an https address: `ca`, `certificate`, `key`, `server_name`, `verify`."""

    oauth2: OAuth2 | None = None
    """Client credentials of OAuth 2.0, whose token is sent as Authorization."""
    proxy: ProxyOption | None = None
    """Proxy to go through instead of that of `outgoing`, such as `http://proxy.internal:3128`, or `none`."""

    @model_validator(mode="after")
    def _one_authorization(self) -> Self:
        if self.oauth2 is not None and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("oauth2 sends Authorization: leave that header out")
        return self

    @property
    def sets_weight(self) -> bool:
        """True: the receiver is told the `weight`."""
        return True


class Webhook:
    """Calls a webhook, and is done once the receiver answers 2xx. The receiver may be called more than once with the
    same `Idempotency-Key`: after an answer that came too late, or a crash of the daemon between the answer and its
    being stored.
    """

    config_model: ClassVar[type[ActionConfig]] = WebhookConfig

    def __init__(self, config: WebhookConfig, context: ActionContext) -> None:
        self._config, self._clock, self._redact = config, context.clock, context.redact
        self._session: aiohttp.ClientSession | None = None
        self._tokens = Tokens.of(config.oauth2, config.timeout / 2)

    async def execute(self, order: ActionRequest) -> ActionResult:
        body = json.dumps(payload(order), separators=(",", ":"), ensure_ascii=False).encode()
        headers = self._headers(order, body)
        try:
            if self._tokens is None:
                return (await self._post(body, headers))[1]

            def post(authorization: str) -> Awaitable[tuple[int, ActionResult]]:
                return self._post(body, headers | {"Authorization": authorization})

            return (await self._tokens.authorized(post, lambda answered: answered[0]))[1]
        except TokenError as error:
            ending = Ending.REFUSED if error.kind is FailureKind.AUTH else Ending.RETRY
            return ActionResult(ending, str(error), error.pause or 0.0)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return ActionResult(Ending.RETRY, why_unreached(error, self._endpoint))

    async def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, ActionResult]:
        """Return the status of the answer, and what it means."""
        session = self._session or await self._open()
        async with session.post(
            self._config.url.get_secret_value(),
            data=body,
            headers=headers,
            allow_redirects=False,
            server_hostname=self._config.tls.server_name,
        ) as response:
            if 200 <= response.status < 300:
                return response.status, ActionResult(Ending.DONE, f"{self._place} answered {response.status}")
            return response.status, self._outcome(response, await self._said(response))

    async def describe(self, order: ActionRequest) -> str:
        signed = "signed" if self._config.secret else "not signed"
        return f"POST to {self._place} for {order.arms.service} {order.arms.candidate.version}, {signed}"

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
        if self._tokens is not None:
            await self._tokens.close()

    def _headers(self, order: ActionRequest, body: bytes) -> dict[str, str]:
        headers = {name: value.get_secret_value() for name, value in self._config.headers.items()}
        # What is packed small could be gigabytes, and is not unpacked.
        headers |= {"Content-Type": "application/json", "Accept-Encoding": "identity", "Idempotency-Key": order.key}
        if self._config.secret is not None:
            seconds = int(self._clock.now().timestamp())
            headers["X-Healthd-Signature"] = signature(self._config.secret.get_secret_value(), seconds, body)
        return headers

    async def _said(self, response: aiohttp.ClientResponse) -> str:
        """Return the beginning of an answer, to show after its status; secrets are redacted before it is cut."""
        said = b""
        with suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(_SAYING):
                said = await response.content.read(_LONGEST_ANSWER)
        plain = said.decode("utf-8", "replace")
        text = excerpt(self._redact(self._tokens.mask(plain) if self._tokens is not None else plain), _SHOWN)
        return f": {text}" if text else ""

    def _outcome(self, response: aiohttp.ClientResponse, said: str) -> ActionResult:
        status = response.status
        relay = relayed(URL(self._config.url.get_secret_value()), own_proxy(self._config.proxy))
        detail = f"{self._place} answered {status}{relay}{said}"
        if 300 <= status < 400:
            return ActionResult(Ending.REFUSED, f"{detail}: redirects are not followed, configure where it leads to")
        if status == 410:
            return ActionResult(Ending.NO_BASELINE, detail)
        if status >= 500 or status in _TRY_AGAIN:
            return ActionResult(Ending.RETRY, detail, seconds_to_wait(response.headers, self._clock.now()) or 0.0)
        return ActionResult(Ending.REFUSED, detail)

    @property
    def _place(self) -> str:
        """The host alone: the rest of an address may be a secret."""
        scheme = self._config.url.get_secret_value().partition(":")[0]
        return f"{scheme}://{self._endpoint}"

    @property
    def _endpoint(self) -> Endpoint:
        url = URL(self._config.url.get_secret_value())
        return Endpoint(url.host or "", url.port or 443)

    async def _open(self) -> aiohttp.ClientSession:
        context = await asyncio.to_thread(self._config.tls.context)
        if self._session is None:  # nor has another call opened one meanwhile
            self._session = new_session(context, unpack=False, proxy=own_proxy(self._config.proxy))
        return self._session


def signature(secret: str, seconds: int, body: bytes) -> str:
    """Return `t=…,v1=…`: seconds since 1970, and the HMAC-SHA-256 in hex over those, a dot, and the body as it is sent.

    The format is that of Stripe. A receiver compares in constant time, and refuses signatures that are minutes old.
    """
    signed = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256)
    return f"t={seconds},v1={signed.hexdigest()}"


def payload(order: ActionRequest) -> dict[str, Any]:
    """Return the body to send; it is the same at every attempt."""
    gate = order.gate
    decision, rollback = gate.decision, gate.rollback
    return {
        "key": order.key,
        "action": order.action,
        "occasion": order.occasion.value,
        "rollback": order.occasion.is_rollback,
        "weight": order.weight,
        "reason": rollback.reason if order.occasion.is_rollback and rollback else None,
        "service": gate.service,
        "candidate": gate.candidate.model_dump(mode="json"),
        "baseline": gate.baseline.model_dump(mode="json") if gate.baseline else None,
        "gate": {"id": gate.id, "policy": gate.policy, "created_at": stamp(gate.created_at)},
        "decision": None
        if decision is None
        else {
            "verdict": decision.verdict.value,
            "reason": decision.reason,
            "sentence": decision.sentence,
            "at": stamp(decision.at),
            "by": decision.by,
        },
        "deployment": gate.deployment.model_dump(mode="json"),
    }
