"""The refusals of the gate service: one exception for each reason. The docstring is the message; `fields` tell who and
until when.

The web layer maps each one to an HTTP status.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from healthd.nearest import did_you_mean

if TYPE_CHECKING:  # the configuration refuses, too, before a gate's modules are loaded
    from healthd_gates.domain.gate import Gate

_LISTED = 8  # names that a refusal lists
SHORTEST_ID = 4
"""Number of characters of a gate's id from which its beginning is taken for it."""
_SECOND_STOP = re.compile(r"(?<!\.)([.?!])\.(?=\s|$)")


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not a failure of the daemon
    """The gate service refused."""

    def __init__(self, **fields: Any) -> None:
        self.fields = {key: value for key, value in fields.items() if value is not None}
        shown = {key: _shown(value) for key, value in self.fields.items()}
        message = " ".join((type(self).__doc__ or "").format(**shown).split())
        super().__init__(_SECOND_STOP.sub(r"\1", message))  # a reason, and a hint, may end with a stop of its own

    @property
    def of_a_read(self) -> str:
        """Message for a caller who only wanted to look."""
        return str(self)


class _UnknownName(Refusal):
    """A name that is not configured."""

    def __init__(self, *, known: Iterable[str] = (), **named: str) -> None:
        names = sorted(known)
        hints = (did_you_mean(name, names) for name in named.values())
        super().__init__(**named, known=_listed(next(iter(named.values()), ""), names), hint="".join(hints))
        del self.fields["hint"]


def _listed(word: str, names: list[str]) -> str:
    """Return the names for people: of many those that are most like the word."""
    if len(names) <= _LISTED:
        return ", ".join(names) or "none"
    near = get_close_matches(word, names, n=_LISTED, cutoff=0.0)
    return f"{', '.join(near)} and {len(names) - len(near)} more"


class UnknownService(_UnknownName):
    """No service is called {service!r}; there are: {known}.{hint}"""


class UnknownPolicy(_UnknownName):
    """No policy is called {policy!r}; there are: {known}.{hint}"""


class UnknownAction(_UnknownName):
    """No action is called {action!r}; there are: {known}.{hint}"""


class UnknownGate(Refusal):
    """There is no gate {gate_id}{hint}."""

    def __init__(self, *, gate_id: str) -> None:
        short = len(gate_id) < SHORTEST_ID
        super().__init__(gate_id=gate_id, hint=f": write at least {SHORTEST_ID} characters of its id" if short else "")
        del self.fields["hint"]


class AmbiguousGate(Refusal):
    """Several gates begin with {gate_id}: give more of the id."""


class InvalidRequest(Refusal):
    """{field}: {problem}."""


class ServiceBusy(Refusal):
    """Gate {gate_id} of {caller} holds {service} {lasts}."""

    @classmethod
    def by(cls, gate: Gate, moment: datetime, gives_up_at: datetime | None = None) -> ServiceBusy:
        """Return the refusal by a gate that blocks others. A deadline that is past is not shown: something else is then
        waited for. `gives_up_at` is when its rollback is given up if it is not done by then."""
        until = None if gate.is_answered or gate.decides_by <= moment else gate.decides_by
        given_up = gives_up_at if gives_up_at is not None and gives_up_at > moment else None
        if until is not None:
            lasts = f"until {_shown(until)} at the latest"
        elif gate.is_answered:
            lasts = f"{_rollback_lasts(gate, given_up)}; healthd gate watch {gate.id} --to-the-end waits for that"
            lasts += f"; to end it by hand: healthd gate give-up {gate.id} --reason …"
        else:
            lasts = "until its verdict, which is due"
        fields = {"service": gate.service, "gate_id": gate.id, "caller": gate.caller}
        return cls(**fields, until=until, gives_up_at=given_up, lasts=lasts)


def _rollback_lasts(gate: Gate, given_up: datetime | None) -> str:
    """Return for what of a rollback others wait, until when, and how far it is."""
    rollback = gate.rollback
    if rollback is not None and rollback.state == "confirming":
        lasts = "until its rollback is confirmed"
        lasts += f", at {_shown(rollback.confirm_until)} at the latest" if rollback.confirm_until else ""
        now = f" (now: {rollback.detail.rstrip('.')})" if rollback.detail else ""
        return f"{lasts}: the traffic was sent back, and the numbers are watched until they have recovered{now}"
    lasts = f"until its rollback is over{f', or given up at {_shown(given_up)}' if given_up else ''}"
    return f"{lasts}: {rollback.detail.rstrip('.')}" if rollback is not None and rollback.detail else lasts


class Locked(Refusal):
    """{holder} holds the deploy lock of {service} until {until}: {reason}. Wait; or, once you know that its deploy is
    over, `healthd gate unlock {service} --holder {holder}`."""


class Frozen(Refusal):
    """Deploys of {service} are frozen until {until}: {reason}."""


class Quarantined(Refusal):
    """Version {version} of {service} is in quarantine since {since}, by gate {gate_id}: {reason}. Let it out
    with `healthd gate unquarantine {service} {version} --reason …`, or override."""


class IdempotencyMismatch(Refusal):
    """Idempotency key {key!r} was used for another request, gate {gate_id}; a new request needs a new key."""


class StaleVerdict(Refusal):
    """Idempotency key {key!r} belongs to gate {gate_id}, and its verdict ({verdict}) is of {since}{before}; a new
    deploy needs a new key."""

    def __init__(self, **fields: Any) -> None:
        follower = fields.get("followed_by")
        super().__init__(before=f", before gate {follower} of the same service" if follower else "", **fields)
        del self.fields["before"]


class AlreadyDecided(Refusal):
    """Gate {gate_id} is {state}: that comes too late{instead}."""

    def __init__(self, **fields: Any) -> None:
        by_hand = f"; its rollback is ended by: healthd gate give-up {fields.get('gate_id')} --reason …"
        super().__init__(instead=by_hand if fields.get("state") == "acting" else "", **fields)
        del self.fields["instead"]


class NotHeld(Refusal):
    """Gate {gate_id} is {state} and waits for nobody yet: it decides by itself. `healthd gate cancel` ends it, and
    `healthd gate rollback` puts its version back."""


class NotRollingBack(Refusal):
    """Gate {gate_id} is {state}, and no rollback of it is under way or wants a person: there is nothing to give up."""


class NotRamping(Refusal):
    """Gate {gate_id} is {state}, and widens nothing: there is nothing to pause or to resume."""


class NothingToRollBack(Refusal):
    """No rollback action is configured for {service}: name one under services.{service}.on_fail; a gate that comes
    before the switch, such as a preflight, has those of its policy alone."""


class NotPushed(Refusal):
    """{service} takes no pushed evidence: its source is {kind}."""


class LockNotHeld(Refusal):
    """{holder} does not hold the deploy lock of {service}."""


class NotQuarantined(Refusal):
    """Version {version} of {service} is not in quarantine."""


class Draining(Refusal):
    """This replica is shutting down and takes no more gates; ask again in a moment."""


class TooManyGates(Refusal):
    """This replica runs {count} gates already, which is as many as gates.max_running allows."""


class JournalUnavailable(Refusal):
    """The journal cannot be written, so nothing was started or changed: {problem}."""

    @property
    def of_a_read(self) -> str:
        return f"The journal cannot be read now: {self.fields['problem']}."


RETRYABLE = (ServiceBusy, Locked, Frozen, Draining, TooManyGates, JournalUnavailable)
"""Refusals that are temporary: a retry later may succeed."""


def _shown(value: Any) -> Any:
    return f"{value:%Y-%m-%d %H:%M:%S} UTC" if isinstance(value, datetime) else value
