"""Findings of other replicas since they were last asked for, of checks that stand otherwise here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from healthd.notify.view import Seen, View


class Hearsay:
    """Failures that others see. Each replica probes at its own times, so that one may see a failure, or its end, an
    interval and some repetitions later than another: what is heard is no result, but a reason to look."""

    def __init__(self) -> None:
        self._firing: frozenset[tuple[str, str]] = frozenset()

    def news(self, own: Mapping[str, Seen], others: Sequence[View]) -> list[str]:
        """Return the names of the checks whose failure, or the end of one, another living replica has told of since the
        last call, and which stand otherwise here."""
        before = self._firing
        self._firing = frozenset((view.address, key) for view in others if not view.former for key in view.firing)
        if not others:  # the journal is away: nobody was heard
            return []
        began, ended = ({key for _, key in each} for each in (self._firing - before, before - self._firing))
        return [seen.notice.name for key, seen in own.items() if key in (ended if seen.notice.firing else began)]
