"""Facts that every notification of a gate has."""

from __future__ import annotations

from healthd_gates.domain.gate import Gate


def facts_of(gate: Gate) -> dict[str, str]:
    """Return the version, the policy, the gate, and the deploy as far as its caller has told of it."""
    facts = {"version": gate.candidate.version, "policy": gate.policy, "gate": gate.id}
    if gate.deployment.actor:
        facts["actor"] = gate.deployment.actor
    if gate.deployment.url:
        facts["deploy"] = gate.deployment.url
    return facts
