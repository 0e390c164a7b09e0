"""Request of a gate by a deploy tool, and its fit with who is to move the traffic."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

from healthd_deploy.core.exit import CouldNotAsk
from healthd_gates.client.pipeline import span_of

Arm = dict[str, Any]


def arm(version: str | None, target: str) -> dict[str, Any]:
    """Return one arm of a gate, in the format of the API."""
    return {"version": version or "unknown", "target": target}


def gate_request(
    service: str,
    key: str,
    policy: str,
    candidate: Arm,
    baseline: Arm | None,
    *,
    rolls_back: bool = True,
    rollback_window: str | None = None,
    addresses: Mapping[str, Collection[str]] | None = None,
) -> dict[str, Any]:
    """Return the request in the format of the API, for the deploy named `key`, which holds the lock, as a part of the
    pipeline's trace. `addresses` are those of each target, as far as the tool knows them."""
    request: dict[str, Any] = {
        "service": service,
        "policy": policy,
        "candidate": candidate,
        "deployment": {"id": key} if (span := span_of(os.environ)) is None else {"id": key, "traceparent": span},
        "rollback": "auto" if rolls_back else "off",
        "lock": key,
    }
    if baseline is not None:
        request["baseline"] = baseline
    if rollback_window is not None:
        request["rollback_window"] = rollback_window
    if addresses:
        request["addresses"] = {target: [*its] for target, its in addresses.items()}
    return request


def refuse_mismatch(policy: str, *, ramps: bool, wanted: bool) -> None:
    """Raise CouldNotAsk where both the tool and healthd would move the traffic, or nobody. `ramps`: the tool leaves it
    to healthd; `wanted`: the policy has a ramp."""
    if ramps and not wanted:
        raise CouldNotAsk(
            f"policy {policy} has no ramp in healthd's configuration, so that nobody would move the traffic: give it "
            "`ramp`, or deploy with --strategy switch"
        )
    if wanted and not ramps:
        raise CouldNotAsk(
            f"policy {policy} has a ramp, so that healthd moves the traffic: name it as gates.ramp, and deploy with "
            "--strategy ramp"
        )
