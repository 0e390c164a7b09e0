"""Rollbacks that need a person, in the words of the pages."""

from __future__ import annotations

from healthd.web.troubles import Trouble
from healthd_gates.domain.gate import Gate, RollbackState

_WORDS = {
    RollbackState.DUE: "A rollback is stuck",
    RollbackState.FAILED: "A rollback failed",
    RollbackState.IMPOSSIBLE: "A bad release cannot be rolled back",
    RollbackState.UNCONFIRMED: "A rollback is not confirmed",
}


def trouble_of(gate: Gate) -> Trouble:
    """Return the description of a gate whose rollback needs a person."""
    assert gate.rollback is not None
    state = gate.rollback.state
    name = f"{gate.service} {gate.candidate.version}"
    why = f": {gate.rollback.detail.rstrip('.')}" if gate.rollback.detail else ""  # such as a later version that runs
    if state is RollbackState.UNCONFIRMED:
        sentence = f"Whether {name} still serves users is not known. A person must look where the traffic is."
    elif state is RollbackState.DUE:
        cure = "mend that, or put the traffic back by hand and say so with `healthd gate give-up --done`"
        sentence = f"{name} may be serving users{why}. healthd goes on trying: {cure}."
    else:
        sentence = (
            f"{name} may be serving users{why}. A person must look, and put the traffic back where {name} has it."
        )
    return Trouble(
        service=gate.service,
        version=gate.candidate.version,
        state=state.value,
        word=_WORDS.get(state, "A rollback needs a person"),
        sentence=sentence,
        since=gate.finished_at or gate.rollback.at,
        gate=gate.id,
        address=f"/gates/{gate.id}/page",
    )
