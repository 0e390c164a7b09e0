"""Acknowledgements that end by themselves: with the failure, check by check, or with the check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import structlog

from healthd.config.window import Window
from healthd.journal.journal import AuditEntry
from healthd.labels import matches
from healthd.model import Status
from healthd.monitoring.board import Board
from healthd.runtime.clock import Clock

_log = structlog.get_logger(__name__)
_SETTLED = 15.0  # seconds after which another replica's view of what was acknowledged is surely known
_REMOVED = 300.0  # seconds after which a check that no replica has is no restart and no reload that is under way

Change = tuple[str, Window | None, AuditEntry]
"""Id of an acknowledgement, what is left of it, and what the audit has of that."""


class Others(Protocol):
    """The other replicas that share the journal."""

    def see_failing(self, check: str) -> bool | None:
        """True if another replica sees this check fail; None if that is not known."""

    def checks(self) -> Mapping[str, bool] | None:
        """Return the names of the checks that others look at, each with whether one of them sees a failure that is
        acknowledged; None if that is not known."""


class Nobody:
    """No other replica."""

    def see_failing(self, check: str) -> bool | None:
        return False

    def checks(self) -> Mapping[str, bool] | None:
        return {}


class Acknowledgements:
    """Finds what is over. It changes nothing."""

    def __init__(self, board: Board, clock: Clock) -> None:
        self._board, self._clock = board, clock
        self.others: Others = Nobody()
        self._known_since: dict[str, float] = {}  # steady time, by id
        self._removed_since: dict[str, float] = {}

    def of(self, check: str, windows: Iterable[Window]) -> list[Window]:
        """Return those that cover a check now."""
        covers = self._board.check(check).covers if check in self._board else ()
        ids = {it.id for it in covers if it.kind == "acknowledgement"}
        return [it for it in windows if it.id in ids] if ids else []

    def left_over(self, windows: Iterable[Window], *, is_read: bool) -> Iterator[Change]:
        """Yield the ends that nobody saw, as of a recovery while the daemon was not running, or of a check that was
        renamed. Of new ones others' views may know nothing yet. `is_read` is False while the journal may have more."""
        now = self._clock.steady()
        known = {it.id: it for it in windows if it.kind == "acknowledgement"}
        self._known_since = {key: self._known_since.get(key, now) for key in known}
        removed = {key for key, it in known.items() if is_read and self._is_removed(it)}
        self._removed_since = {key: self._removed_since.get(key, now) for key in removed}
        if not is_read:
            return
        yield from self.over(it for key, it in known.items() if now - self._known_since[key] >= _SETTLED)
        for key in (key for key, since in self._removed_since.items() if now - since >= _REMOVED):
            _log.info("acknowledgement ended: no replica has a check of it any more", window=key, **_names(known[key]))
            detail = {**_names(known[key]), "because": "no replica has a check of it any more"}
            yield key, None, AuditEntry("healthd", "window.end", key, detail)

    def over(
        self, windows: Iterable[Window], changed: str | None = None, *, is_healthy: bool = False
    ) -> Iterator[Change]:
        """Yield the end of those of which no check fails any more, for any replica; what others see must be known. Of
        one that covers what still fails, leave out what does not: what that fails of next is news. `changed` is the
        only check that may be left out, if one has just changed; `is_healthy` says so of it where the board may not
        know yet."""
        for window in windows:
            covered = [it for it in self._board.checks() if any(cover.id == window.id for cover in it.covers)]
            well = {
                it.name
                for it in covered
                if (it.status is Status.HEALTHY or (is_healthy and it.name == changed))
                and self.others.see_failing(it.name) is False
            }
            if changed is not None and len(well) < len(covered):
                well &= {changed}
            if not well:
                continue
            left = ({it.name for it in covered} - well) | self._failing_elsewhere(window)
            narrowed = window.model_copy(update={"checks": tuple(sorted(left)), "groups": (), "labels": {}})
            action, detail = ("window.narrow", {"left": sorted(left)}) if left else ("window.end", {})
            entry = AuditEntry("healthd", action, window.id, {**detail, "because": "recovered"})
            yield window.id, narrowed if left else None, entry

    def _failing_elsewhere(self, window: Window) -> set[str]:
        """Return the checks that another replica alone has, and that fail there and are covered."""
        by_name = not (window.groups or window.labels)
        return {
            name
            for name, is_acknowledged in (self.others.checks() or {}).items()
            if self._may_cover_elsewhere(window, name)
            and (is_acknowledged or (by_name and self.others.see_failing(name) is not False))
        }

    def _is_removed(self, window: Window) -> bool:
        """True if no replica has a check that it covers, as far as names tell; in doubt False."""
        if window.start is None or window.start > self._clock.now() or (elsewhere := self.others.checks()) is None:
            return False
        board = self._board
        here = (window.takes(it.name, it.config.labels, board.groups_of(it.name)) for it in board.checks())
        return not any(here) and not any(self._may_cover_elsewhere(window, name) for name in elsewhere)

    def _may_cover_elsewhere(self, window: Window, name: str) -> bool:
        """True for a check that this replica does not have: its groups and labels are not known here."""
        named = matches(name, window.checks) or bool(window.groups) or not window.checks
        return name not in self._board and named


def _names(window: Window) -> dict[str, Any]:
    names = ("checks", "groups", "labels")
    return {name: getattr(window, name) for name in names if getattr(window, name)}
