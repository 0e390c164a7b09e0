"""The bodies and query parameters that callers send beside a gate's own request and evidence, validated."""

from __future__ import annotations

from math import inf
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

from healthd.config.model import Model, Name
from healthd.units import parse_duration
from healthd.wording import shape
from healthd_gates.domain.gate import GateState
from healthd_gates.domain.request import IdempotencyKey, Text, VerifyRequest, VersionName

LONGEST_WAIT = 3600.0
_LONGEST_LOCK = 7 * 86400.0
_DURATION = r"([0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h|d))+"


def _parse_wait(value: Any) -> Any:
    if value == "verdict":
        return inf
    seconds = parse_duration(value)
    return min(seconds, LONGEST_WAIT)


Wait = Annotated[
    float,
    BeforeValidator(_parse_wait),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^(verdict|{_DURATION})$",
            "examples": ["30s", "5m", "verdict"],
            "description": "How long to hold the call open, an hour at most; `verdict`: until there is one.",
        }
    ),
]
LockDuration = Annotated[
    float,
    BeforeValidator(parse_duration),
    Field(ge=1, le=_LONGEST_LOCK),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION}$", "examples": ["30m"]}),
]
Cursor = Annotated[str, StringConstraints(pattern=shape(r"^[0-9a-f]{32}$", "the `next` of the page before"))]


class VerifyBody(VerifyRequest):
    """The request for a gate. The key may come in the header `Idempotency-Key` instead."""

    idempotency_key: IdempotencyKey | None = None

    def request(self) -> VerifyRequest:
        return VerifyRequest(**{name: getattr(self, name) for name in VerifyRequest.model_fields})


class ReasonBody(Model):
    """The reason; it is written to the audit."""

    reason: Text


class RollbackBody(ReasonBody):
    """The reason; it is written to the audit. With a key the call is idempotent, also after a rollback that failed."""

    idempotency_key: IdempotencyKey | None = None


class GiveUpBody(ReasonBody):
    """The reason, for the audit; and whether the traffic was put back by hand."""

    done: bool = False


class ResumeBody(ReasonBody):
    """The reason, for the audit; and the number of the pause that is meant (`ramp.pause.number`), so that a call that
    arrives late ends no later one."""

    pause: int | None = Field(None, ge=1)


class LockBody(Model):
    """The holder of the deploy lock, its duration (a week at most), and the reason. With `exclusive` the reason names
    one run of the holder: it is refused while another run has the lock, unless that is the one it comes `instead_of`,
    by its reason."""

    holder: Text
    duration: LockDuration = Field(alias="for")
    reason: Text
    exclusive: bool = False
    instead_of: Text | None = None


class UnquarantineQuery(Model):
    """The version to let out of quarantine, and why; the reason is written to the audit."""

    version: VersionName
    reason: Text


class WaitQuery(Model):
    """`answer=strict` is for tools that take any 2xx for success: only a pass is a 2xx then."""

    wait: Wait = Field("0s", validate_default=True)
    answer: Literal["plain", "strict"] = "plain"


class ListQuery(Model):
    """Filters of the list of gates; `active` are all that are not over. `deployment` is the `deployment.id` of their
    requests."""

    service: Name | None = None
    state: (
        Literal[
            "active",
            "awaiting",
            "settling",
            "ramping",
            "observing",
            "held",
            "acting",
            "watching",
            "finished",
            "cancelled",
        ]
        | None
    ) = None
    limit: int = Field(50, ge=1, le=200)
    before: Cursor | None = None
    policy: Name | None = None
    deployment: Text | None = None

    @property
    def states(self) -> tuple[GateState, ...]:
        if self.state == "active":
            return tuple(state for state in GateState if not state.is_over)
        return () if self.state is None else (GateState(self.state),)


class EventsQuery(Model):
    """The end of the stream: at the verdict, or when the gate is over, watch and rollback included."""

    until: Literal["verdict", "over"] = "verdict"


class HolderQuery(Model):
    holder: Text
