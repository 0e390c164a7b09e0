"""Notifications of a ramp that waits for a person, or that something has held for minutes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from healthd.notifiers.notice import Notice, Severity
from healthd_gates.domain.gate import Gate
from healthd_gates.domain.ramp import Pause, Ramp
from healthd_gates.domain.ramp_wording import percent, sentence
from healthd_gates.engine.notice_facts import facts_of

HELD_AFTER = 180.0  # seconds for which something stands in the way before people are told
_LASTS = 86400.0


def ramp_notices(before: Gate, after: Gate) -> Iterator[Notice]:
    """Yield the notifications of a stored step of a ramp: a pause, its end, and what holds it."""
    ramp, earlier = after.ramp, before.ramp
    if ramp is None or earlier is None or after.decision is not None:
        return
    if ramp.pause is not None and ramp.pause != earlier.pause:
        yield _paused(after, ramp, ramp.pause)
    elif earlier.pause is not None and ramp.pause is None:
        since = after.standing.at if after.standing is not None else earlier.pause.since  # before the first look
        yield _notice(after, ramp, f"resumed {earlier.pause.number}", "goes on", since, firing=False)
    elif _is_held(after) and not _is_held(before):
        assert ramp.held_since is not None
        word = f"is held at {percent(ramp.weight)} of the traffic"
        yield _notice(after, ramp, f"held {ramp.step}", word, ramp.held_since)
    elif _is_held(before) and not _is_held(after):
        assert after.standing is not None
        yield _notice(after, ramp, f"free {ramp.step}", "is held no more", after.standing.at, firing=False)


def _is_held(gate: Gate) -> bool:
    if gate.ramp is None or gate.ramp.held_since is None or gate.standing is None:
        return False
    return (gate.standing.at - gate.ramp.held_since).total_seconds() >= HELD_AFTER


def _paused(gate: Gate, ramp: Ramp, pause: Pause) -> Notice:
    if pause.before is not None:
        word = f"waits for a person before it gets {percent(pause.before)} of the traffic"
    else:
        word = f"is paused by {pause.by} at {percent(ramp.weight)} of the traffic"
    return _notice(gate, ramp, f"paused {pause.number}", word, pause.since)


def _notice(gate: Gate, ramp: Ramp, standing: str, word: str, since: datetime, *, firing: bool = True) -> Notice:
    resume = f" Let it go on with: healthd gate resume {gate.id} --reason …" if ramp.pause is not None else ""
    until = gate.decides_by if ramp.is_full else ramp.until
    ends = f" Without that it ends at {until:%Y-%m-%d %H:%M} UTC." if firing else ""
    return Notice(
        key=f"gate:{gate.service}",
        about="gate",
        name=gate.service,
        standing=f"ramp {standing} {gate.id}",
        firing=firing,
        severity=Severity.WARNING if firing else Severity.INFO,
        summary=f"{gate.service} {gate.candidate.version} {word}",
        detail=f"{sentence(ramp)}{resume}{ends}",
        since=since,
        began=gate.created_at,
        facts=facts_of(gate) | ({"by": ramp.pause.by} if ramp.pause is not None and ramp.pause.by else {}),
        link=gate.deployment.url,
        lasts=_LASTS,
    )
