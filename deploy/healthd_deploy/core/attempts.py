"""Gates of a deploy that is run again with its key: what is deployed anew is judged anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from healthd_deploy.core.asked import asked
from healthd_deploy.core.earlier_gates import EarlierGates
from healthd_deploy.core.exit import CouldNotAsk
from healthd_gates.client.client import GateClient
from healthd_gates.client.transport import Refused
from healthd_gates.schema.gate import GateDocument

_STALE = "urn:healthd:stale-verdict"
_MOST = 100


async def begun(
    client: GateClient, earlier: EarlierGates, request: Mapping[str, Any], key: str, *, joins_passed: bool
) -> GateDocument:
    """Start a gate, or join the one of this idempotency key that runs. One that is over is of an attempt that was
    undone, and says nothing of what is deployed now; but a pass stands with `joins_passed`, where nothing is deployed,
    and where a later gate of this deploy runs, so that its attempt goes on.

    Raises CouldNotAsk, Refused or Unreachable.
    """
    passed: GateDocument | None = None
    for attempt in range(1, _MOST + 1):
        try:
            gate = await client.verify(request, key=key if attempt == 1 else f"{key}:{attempt}")
        except Refused as refusal:
            if passed is not None and await earlier.is_busy_with_own(refusal):
                return passed
            if not await _is_of_an_attempt(refusal, client, earlier):
                raise
            continue
        if not gate.is_answered or (joins_passed and gate.may_stay):
            return gate
        passed = gate if gate.may_stay else None
    raise CouldNotAsk(f"{key} has had {_MOST} gates: deploy with a new key")


async def _is_of_an_attempt(refusal: Refused, client: GateClient, earlier: EarlierGates) -> bool:
    """True if a key is refused for a verdict that is long ago, and no other deploy came after it."""
    if refusal.problem.get("type") != _STALE:
        return False
    follower = refusal.problem.get("followed_by")
    return follower is None or earlier.is_own(await asked(client.gate(str(follower))))
