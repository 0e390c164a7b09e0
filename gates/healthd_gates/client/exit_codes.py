"""The meaning of exit codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # its import takes longer than to list the commands
    from healthd_gates.schema.gate import GateDocument

PASSED, FAILED, INCONCLUSIVE, COULD_NOT_ASK, INTERRUPTED = 0, 1, 2, 3, 130


def code_of(gate: GateDocument) -> int:
    """Return the exit code of an answered gate. Only a deploy that may stay gives 0."""
    if gate.may_stay:
        return PASSED
    undecided = gate.verdict in ("inconclusive", "cancelled", "running") and gate.rollback is None
    return INCONCLUSIVE if undecided else FAILED
