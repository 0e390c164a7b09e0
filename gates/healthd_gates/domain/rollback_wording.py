"""Words for a rollback, by its state. Everything that reports a rollback takes its words from here: callbacks to deploy
tools, notifications, pages and the command line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from healthd_gates.domain.gate import RollbackState


class ToldRollback(Protocol):
    """The fields of a rollback that are reported; a stored one and the API's document both have them."""

    @property
    def state(self) -> RollbackState: ...
    @property
    def reason(self) -> str: ...
    @property
    def by(self) -> str | None: ...
    @property
    def detail(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Words:
    """The wording of one state: `label` is for use alone or after a comma, `of_version` after a version's name,
    `opening` before a colon."""

    label: str
    of_version: str
    opening: str


WORDS = {
    RollbackState.DUE: Words("rolling back", "is being rolled back", "Being rolled back"),
    RollbackState.CONFIRMING: Words(
        "rolled back, watching it recover",
        "was rolled back, which is not confirmed yet",
        "The rollback is carried out and not confirmed yet",
    ),
    RollbackState.ROLLED_BACK: Words("rolled back", "was rolled back", "Rolled back"),
    RollbackState.UNSEEN: Words(
        "rolled back, not visible to the source",
        "was rolled back, and its source cannot see who has the traffic",
        "The rollback is carried out, and not visible to the source of the service",
    ),
    RollbackState.UNCONFIRMED: Words(
        "rollback not confirmed",
        "was rolled back, but nobody saw it take effect",
        "The rollback is carried out but could not be confirmed, so a person must look",
    ),
    RollbackState.FAILED: Words(
        "rollback failed", "could not be rolled back", "The rollback FAILED, so a person must put the traffic back"
    ),
    RollbackState.IMPOSSIBLE: Words(
        "no baseline to roll back to",
        "has nothing to be rolled back to",
        "NOT rolled back, since there is nothing to roll back to, so a person must look",
    ),
    RollbackState.LEFT: Words(
        "not rolled back by healthd",
        "got worse after its pass, and healthd does not roll it back",
        "Got worse after its pass, and healthd does not roll it back",
    ),
}
"""One entry for each state. Only `ROLLED_BACK` may say that the version is gone."""


def why(rollback: ToldRollback) -> str:
    """Return why a rollback was called for, and by whom if a person did."""
    return rollback.reason if rollback.by is None else f"{rollback.by} called for it: {rollback.reason}"


def sentence(rollback: ToldRollback, known: str = "") -> str:
    """Return the state of a rollback, its details, and why it was called for, unless what is `known` says that."""
    opening = WORDS[rollback.state].opening
    is_known = rollback.reason in known and (rollback.by or "") in known
    said = opening if is_known else f"{opening}: {why(rollback)}"
    return f"{said} ({rollback.detail.rstrip('.')})" if rollback.detail else said
