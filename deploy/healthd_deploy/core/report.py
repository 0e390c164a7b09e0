"""Report of a deploy: for how long the new version had traffic, and how many of its requests failed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from healthd_deploy.core.exit import COULD_NOT_ASK, FAILED, INCONCLUSIVE, INTERRUPTED, NOT_UNDONE, PROMOTED
from healthd_deploy.core.platform import Strayed
from healthd_gates.schema.gate import GateDocument
from healthd_gates.schema.ramp import RampDocument
from healthd_gates.schema.standing import CriterionDocument, StandingDocument

_ENDINGS = {
    PROMOTED: "promoted",
    FAILED: "failed",
    INCONCLUSIVE: "inconclusive",
    COULD_NOT_ASK: "could not ask",
    NOT_UNDONE: "not undone",
    INTERRUPTED: "interrupted",
}
_SAID = {FAILED: "fail: ", INCONCLUSIVE: "inconclusive: "}  # verdicts that say the same as the ending
_UNSEEN = ("not_switched", "no_traffic")  # reasons of a gate that saw none of the traffic at the version


@dataclass(slots=True)
class Report:
    """Report that is filled in during the deploy. `exposed_at` and `back_at` are on the monotonic clock."""

    version: str = ""
    reason: str = ""
    gates: list[GateDocument] = field(default_factory=list)
    ramp: RampDocument | None = None
    exposed_at: float | None = None
    back_at: float | None = None
    left: Sequence[str] = ()
    """Parts that could not be undone, each with why."""
    remark: str | None = None
    """A note on what is not known of the traffic of a promoted version, or not done yet."""
    strayed: str | None = None
    """A sentence on what the proxy does, where it was seen to have given the traffic to another target by itself."""
    cure: str = ""
    """The command at the end of that, which gives it the traffic again."""
    strayed_at: float | None = None
    """The time when it was first seen to have none of it, as far as it has none still."""
    widest: float = 0.0
    """Largest share of the traffic, 0 to 1, that a proxy was seen to give it against the ramp's order."""

    was_exposed: bool = False
    """True if it had traffic before this run began: an earlier one was killed after its switch."""

    def exposed(self, *, before: bool = False) -> None:
        """Record that the new version has traffic from now on, or had it `before` this run; the first call counts."""
        self.was_exposed = self.was_exposed or before
        self.exposed_at = self.exposed_at or time.monotonic()

    def not_exposed(self) -> None:
        """Record that it got no traffic after all."""
        self.exposed_at = None

    def back(self) -> None:
        """Record that it has no traffic any more, and is to have none; the first call counts."""
        if self.strayed is not None:
            self.strayed, self.cure = self.strayed.removesuffix(self.cure).rstrip(), ""
        if self.exposed_at is not None and self.back_at is None:
            self.back_at = time.monotonic()

    def stray(self, found: Strayed) -> None:
        """Record that the traffic was seen elsewhere; the first call by which all of it is counts for when."""
        self.strayed, self.cure, self.widest = found.told, found.cure, max(self.widest, found.share)
        self.strayed_at = None if found.in_part else self.strayed_at or time.monotonic()

    def returned(self) -> None:
        """Record that it has all of the traffic again."""
        self.strayed = self.strayed_at = None

    @property
    def exposed_seconds(self) -> float | None:
        """Seconds from the switch until it was put back, or was seen to be elsewhere: a version had traffic in them at
        most. None where an earlier run made the switch."""
        return None if self.was_exposed else self._seconds_here

    @property
    def _seconds_here(self) -> float | None:
        """The same, of this run alone."""
        if self.exposed_at is None or self.back_at is None:
            return None
        return min(self.back_at, self.strayed_at or self.back_at) - self.exposed_at

    def document(self, code: int) -> dict[str, Any]:
        """Return the report for scripts."""
        errors = self._errors()
        return {
            "ending": _ENDINGS[code],
            "version": self.version,
            "reason": self.reason or None,
            "requests": errors.requests if errors else None,
            "failed_requests": errors.bad if errors else None,
            "exposed_seconds": self.exposed_seconds,
            "weight": self.weight,
            "left": list(self.left),
            "strayed": self.strayed,
            "remark": self.remark,
            "gates": [gate.model_dump(mode="json") for gate in self.gates],
        }

    def sentence(self, code: int) -> str:
        """Return the report for people."""
        text = f"{self.version}: {_ENDINGS[code]}"
        said = _SAID.get(code, "")
        if self.strayed is not None and self._is_unseen and said and self.reason.startswith(said):
            text += f": {self.strayed.rstrip('.')}"  # what is seen explains what could not be
        elif self.reason:
            text += f": {self.reason.removeprefix(said).rstrip('.')}"
            text += f" ({self.strayed.rstrip('.')})" if self.strayed and self.strayed not in self.reason else ""
        elif code == PROMOTED and (proof := self._proof()):
            text += f": {proof[0].lower()}{proof[1:].rstrip('.')}"
        if code in (PROMOTED, COULD_NOT_ASK, NOT_UNDONE) and self.remark:
            text += f"; {self.remark.rstrip('.')}"
        if self.left:
            text += f"; could not be undone: {'; '.join(each.rstrip('.') for each in self.left)}"
        if (errors := self._errors()) is not None:
            saw = "saw until the verdict" if self.gates[-1].decision is not None else "saw"
            text += f"; {errors.bad:,.0f} of its {errors.requests:,.0f} requests that healthd {saw} failed"
        if (seconds := self._seconds_here) is not None:
            had = "the traffic"
            if self.ramp is not None:
                most_seen = self.ramp.model_copy(update={"weight": max(self.ramp.weight, self.widest)})
                had = f"up to {most_seen.width} of the traffic"
            if self.was_exposed:
                text += f"; it had {had} before this run already, and for at most {seconds:.0f} s of it"
            elif self._saw_none:
                most = "at most " if self.strayed_at is not None else ""
                text += f"; the switch to it stood for {most}{seconds:.0f} s, and healthd saw none of the traffic there"
            else:  # what the traffic met between the orders nobody knows: the version may not have begun, or hung
                until = "" if self.strayed_at is not None else ", from the switch until it was put back"
                text += f"; it had {had} for at most {seconds:.0f} s{until}"
        return text

    @property
    def _is_unseen(self) -> bool:
        """True if healthd did not see the traffic at the version by the verdict, or until now."""
        standing = self._judged if self.ramp is None else None
        return standing is not None and standing.reason in _UNSEEN

    @property
    def _saw_none(self) -> bool:
        """True if healthd never saw a request of the version: what the proxy was told is no proof of traffic."""
        errors = self._errors()
        return self._is_unseen and not (errors is not None and errors.requests)

    def _proof(self) -> str:
        """Return what the pass of the last gate stands on, as whether it was compared with anything; empty where a
        person decided, or none was asked."""
        decision = self.gates[-1].decision if self.gates else None
        if decision is None or decision.by is not None:
            return ""
        if decision.observed:
            return decision.sentence
        return standing.sentence if (standing := self._judged) is not None else decision.sentence

    @property
    def _judged(self) -> StandingDocument | None:
        """The standing of the last gate up to its verdict; None once that of the watch after it has taken its place,
        which counts anew."""
        gate = self.gates[-1] if self.gates else None
        if gate is None or gate.standing is None:
            return None
        return gate.standing if gate.decision is None or gate.standing.at <= gate.decision.at else None

    @property
    def weight(self) -> float | None:
        """Largest share of the traffic, 0 to 1, that a ramp gave to the new version; None without one."""
        return None if self.ramp is None else self.ramp.weight

    def _errors(self) -> CriterionDocument | None:
        """Return the error criterion of the gate after the switch, by its verdict."""
        standing = self._judged if self.exposed_at is not None else None
        rates = [one for one in standing.criteria if one.name.startswith("error_rate")] if standing else []
        return rates[0] if rates else None
