"""Findings of a replica about a check, between its own state of it and the journal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b

from healthd.checks.contract import CheckConfig
from healthd.journal.findings import Finding
from healthd.model import Probe
from healthd.monitoring.state import CheckState

MOST_WRITTEN = 500  # findings that are written at once
REFRESHED = 60.0  # seconds after which numbers and messages are written again though the status is the same
NEWER = 0.5  # seconds by which a result must be younger to be another one: ages are rounded


class Written:
    """Findings of this replica that the journal has."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Finding, float]] = {}

    def behind(self, states: Mapping[str, CheckState], now: float) -> tuple[dict[str, Finding], set[str]]:
        """Return the findings to be written now, those of another status before those with old numbers, and the names
        of checks whose status the journal will not have even then."""
        news: dict[str, Finding] = {}
        old: list[tuple[float, str, Finding]] = []
        for name, state in states.items():
            finding, (before, at) = finding_of(state), self._known.get(name, (None, 0.0))
            if before is None or _is_news(finding, before):
                news[name] = finding
            elif now - at >= REFRESHED and finding != before:
                old.append((at, name, finding))
        old.sort(key=lambda each: each[:2])
        all_of_them = [*news.items(), *((name, finding) for _, name, finding in old)]
        return dict(all_of_them[:MOST_WRITTEN]), set(list(news)[MOST_WRITTEN:])

    def note(self, findings: Mapping[str, Finding], now: float, *, anew: bool) -> None:
        """Remember what was written; `anew` where the journal had lost all before it."""
        if anew:
            self._known.clear()
        self._known.update((name, (finding, now)) for name, finding in findings.items())


def mark_of(config: CheckConfig) -> str | None:
    """Return what tells whether two replicas mean the same by a check, None where that cannot be told. Secrets are
    masked, and do not count."""
    try:
        options = config.model_dump(mode="json", exclude_defaults=True) | {"kind": config.kind}
    except Exception:  # an option of somebody's own check
        return None
    return blake2b(json.dumps(options, sort_keys=True).encode(), digest_size=6).hexdigest()


def finding_of(state: CheckState) -> Finding:
    assert state.probe is not None
    probe = state.probe
    return Finding(state.status, state.since, probe.duration, probe.result, state.last_healthy, state.up_since)


def state_of(before: CheckState, finding: Finding, probe: Probe, good_until: float, host: str) -> CheckState:
    healthy = probe.at if probe.result.status.is_up else finding.last_healthy
    return CheckState(
        before.name, before.config, finding.status, finding.since, probe, healthy, good_until,
        up_since=finding.up_since, replica=host, elsewhere=True,
    )  # fmt: skip


def _is_news(finding: Finding, before: Finding) -> bool:
    now, then = finding.result, before.result
    same = (finding.status, finding.since) == (before.status, before.since)
    return not same or (now.status, now.kind) != (then.status, then.kind)


def is_better(finding: Finding, good_until: float, before: CheckState) -> bool:
    """True if a finding is to be shown instead of a state: one of another replica's or of other options, or an older
    one."""
    if before.own_probe is None:
        return True
    if abs(good_until - before.good_until) <= NEWER:
        return (before.own_probe.result, before.status) != (finding.result, finding.status)
    return before.elsewhere or good_until > before.good_until
