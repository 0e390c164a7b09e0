"""`POST /gates/verify`: start a gate, or join the one that the same idempotency key started, and perhaps wait for its
verdict."""

from __future__ import annotations

import re
from typing import Any

from aiohttp import web

from healthd.otlp.span import parse_traceparent
from healthd.web.problems import Problem
from healthd_gates.api.long_poll import Patience
from healthd_gates.api.operation import Answer, Call, Header, Nothing, Operation
from healthd_gates.api.requests import VerifyBody, WaitQuery
from healthd_gates.api.responses import answer
from healthd_gates.domain.gate import Gate
from healthd_gates.domain.request import VerifyRequest
from healthd_gates.engine.service import GateService
from healthd_gates.schema.gate import DryRunDocument, GateDocument

POLL_SECONDS = 5
_JOINS_FOR = 900.0  # seconds after a verdict in which the same key returns it instead of an error
_KEY = re.compile(r'"?(?P<key>[\x21\x23-\x7e]{1,200})"?')
_LOCATION = {"Location": "Where the gate is."}


class Verify:
    """Starts gates."""

    def __init__(self, gate_service: GateService, patience: Patience) -> None:
        self._gate_service, self._patience = gate_service, patience

    def operations(self) -> list[Operation]:
        return [
            Operation(
                name="verify",
                method="POST",
                path="/gates/verify",
                scope="gates:verify",
                summary="May this deploy stay? Only 200 means yes.",
                handle=self._verify,
                body=VerifyBody,
                query=WaitQuery,
                headers={
                    "Idempotency-Key": Header(
                        "The same key with the same request gives the same gate, until some minutes after its verdict.",
                        r'^"?[!#-~]{1,200}"?$',
                    ),
                    "traceparent": Header(
                        "The caller's span, of which the gate's own becomes a part (W3C Trace Context); one that is "
                        "not valid is passed over. The field `deployment.traceparent` goes before it.",
                        r"^[ -~]*$",
                    ),
                },
                answers={
                    200: Answer("Passed: the deploy may stay.", GateDocument, headers=_LOCATION),
                    202: Answer(
                        "Still running, or held for a person to decide: not a pass.",
                        GateDocument,
                        headers={**_LOCATION, "Retry-After": "Seconds after which to ask again."},
                    ),
                    503: Answer(
                        "Only with `answer=strict`: no verdict yet.",
                        GateDocument,
                        headers={**_LOCATION, "Retry-After": "Seconds after which to ask again."},
                    ),
                    412: Answer(
                        "Not passed: failed, inconclusive under a policy that takes it for a fail, cancelled, or "
                        "rolled back since.",
                        GateDocument,
                        headers=_LOCATION,
                    ),
                },
                refusals={
                    404: "No such service or policy.",
                    409: "Another gate or a deploy lock holds the service, deploys are frozen, or the version is in "
                    "quarantine: who and until when.",
                    422: "The request does not fit the configuration, or its key is that of another request, or of a "
                    "deploy whose verdict is old.",
                },
            ),
            Operation(
                name="could_start",
                method="POST",
                path="/gates/verify/dry-run",
                scope="gates:verify",
                summary="Could this gate start now? Nothing is started, and 200 says nothing of a deploy.",
                handle=self._dry_run,
                body=VerifyBody,
                answers={200: Answer("It could start; the notes say what is doubtful.", DryRunDocument)},
                refusals={
                    404: "No such service or policy.",
                    409: "It could not: another gate or a deploy lock, a freeze, or the quarantine.",
                    422: "The request does not fit the configuration, or could not be judged or rolled back.",
                },
            ),
        ]

    async def _dry_run(self, call: Call[VerifyBody, Nothing]) -> web.Response:
        _may_override(call)
        request = call.body.request()
        gate = await self._gate_service.could_start(request, caller=call.caller.name)
        return answer(DryRunDocument.of(gate, call.base, elsewhere=self._gate_service.elsewhere(request)))

    async def _verify(self, call: Call[VerifyBody, WaitQuery]) -> web.Response:
        body = call.body
        _may_override(call)
        key = _key(call.request.headers.get("Idempotency-Key"), body.idempotency_key)
        request = _traced(body.request(), call.request.headers.get("traceparent", ""))
        gate = await self._gate_service.start(
            request, caller=call.caller.name, idempotency_key=key, joins_for=_JOINS_FOR, guards_live=True
        )
        gate = await self._patience.wait(call, gate, call.query.wait)
        headers = {"Location": call.address(f"/gates/{gate.id}")}
        status = status_of(gate, strict=call.query.answer == "strict")
        return answer(GateDocument.of(gate, call.base), status, headers | retry_of(status))


def _may_override(call: Call[VerifyBody, Any]) -> None:
    """Raise Problem 403 for an override by a caller who may not."""
    if call.body.override is not None and not call.caller.may("gates:rollback"):
        raise call.caller.lacks("gates:rollback", " for an override")


def _traced(request: VerifyRequest, traceparent: str) -> VerifyRequest:
    """Return the request with the span of the caller's header, unless it names one itself."""
    if request.deployment.traceparent is not None or (context := parse_traceparent(traceparent)) is None:
        return request
    deployment = request.deployment.model_copy(update={"traceparent": str(context)})
    return request.model_copy(update={"deployment": deployment})


def status_of(gate: Gate, *, strict: bool = False) -> int:
    """Return 200 for a deploy that may stay, 412 for one that may not, and 202 while there is no verdict; that is 503
    for a caller that takes any 2xx for success: a caller that retries does so after a 503, and one that does not has
    failed."""
    if not gate.is_answered:
        return 503 if strict else 202
    return 200 if gate.may_stay else 412


def retry_of(status: int) -> dict[str, str]:
    """Return the `Retry-After` header where there is no verdict yet."""
    return {"Retry-After": str(POLL_SECONDS)} if status in (202, 503) else {}


def _key(header: str | None, field: str | None) -> str | None:
    """Return the idempotency key of header or field. Raises Problem 400."""
    if header is None:
        return field
    match = _KEY.fullmatch(header.strip())
    if match is None:
        raise Problem(400, "Bad Idempotency-Key", "Idempotency-Key: send 1 to 200 visible ASCII characters")
    if field is not None and field != match["key"]:
        raise Problem(400, "Bad Idempotency-Key", "Idempotency-Key and the field idempotency_key differ: send one")
    return match["key"]
