"""Views of several replicas of the same subjects, and what is told of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from healthd.checks.contract import Agreement
from healthd.notifiers.notice import Notice, Severity
from healthd.notify.quiet import Quiet

_NAMED = 10  # replicas in a notice


@dataclass(frozen=True, slots=True)
class Seen:
    """One subject as one replica sees it. `agreement` is how many replicas must see it fire."""

    notice: Notice
    quiet: Quiet = Quiet.NO
    agreement: Agreement = Agreement.ANY

    def is_news_after(self, other: Seen | None) -> bool:
        """True if other replicas should hear of it."""
        if other is None or self.quiet is not other.quiet or self.agreement is not other.agreement:
            return True
        return self.notice.differs_from(other.notice) or self.notice.since != other.notice.since


@dataclass(frozen=True, slots=True)
class View:
    """View of one replica: the subjects that fire, and the names of all that it has a result of. `address` stays the
    same when it starts again; a `former` view is of a process that was started again since, `own` of this one."""

    host: str
    firing: Mapping[str, Seen] = field(default_factory=dict)
    subjects: Collection[str] = frozenset()
    address: str = ""
    former: bool = False
    own: bool = False


def in_order(views: Sequence[View], address: str) -> tuple[View, ...]:
    """Return the views of other replicas, given in the order of their leases, as they count at `address`: what a
    process saw counts until its next start has looked at the same."""
    looked: dict[str, set[str]] = {address: set()}  # by address, what a later process has looked at
    result = []
    for view in reversed(views):
        if (later := looked.get(view.address)) is not None:
            firing = {key: seen for key, seen in view.firing.items() if key not in later}
            subjects = frozenset(view.subjects) - later
            result.append(replace(view, firing=firing, subjects=subjects, former=True, own=view.address == address))
        else:
            result.append(view)
        looked.setdefault(view.address, set()).update(view.subjects)
    return tuple(result)


def merged(own: Mapping[str, Seen], me: View, others: Sequence[View]) -> dict[str, Seen]:
    """Return what is told of each subject, in the light of what others see. What only another host can see is left to
    that host."""
    result = dict(own)
    firing = {key for key, seen in own.items() if seen.notice.firing}
    elsewhere = {key for view in others for key, seen in view.firing.items() if _is_ours(seen.notice, me.host)}
    for key in (firing | elsewhere) if others else ():
        if (seen := _decided(key, own.get(key), me, others)) is not None:
            result[key] = seen
    return result


def _is_ours(notice: Notice, source: str) -> bool:
    return notice.facts.get("host", source) == source


def _decided(key: str, mine: Seen | None, me: View, others: Sequence[View]) -> Seen | None:
    replicas = [me, *others]
    others = [view for view in others if not (view.own and mine is not None)]
    asked = [view for view in others if key in view.firing or key in view.subjects]
    total = len(asked) + (mine is not None)
    seeing = [(view, view.firing[key]) for view in asked if key in view.firing]
    if mine is not None and mine.notice.firing:
        seeing.append((me, mine))
    if not seeing:
        return None
    needed = (mine or seeing[0][1]).agreement.of(total)
    if len(seeing) < needed:
        return mine if mine is not None and not mine.notice.firing else _outvoted(seeing[0][1], len(seeing), total)
    loud = [seen for _, seen in seeing if seen.quiet is Quiet.NO]
    pool = loud if len(loud) >= needed else [seen for _, seen in seeing]
    chosen = sorted(pool, key=_worst_first)[needed - 1]
    since = min(seen.notice.since for seen in pool if not seen.notice.differs_from(chosen.notice))
    facts = dict(chosen.notice.facts)
    if total > 1:
        facts["seen_by"] = f"{len(seeing)} of {total} replicas ({_named([view for view, _ in seeing], replicas)})"
    return replace(chosen, notice=replace(chosen.notice, since=since, facts=facts))


def _worst_first(seen: Seen) -> tuple[int, str]:
    return -list(Severity).index(seen.notice.severity), seen.notice.standing


def _outvoted(seen: Seen, seeing: int, total: int) -> Seen:
    """Return a subject that fires for too few replicas."""
    notice = replace(
        seen.notice,
        standing="healthy",
        firing=False,
        severity=Severity.INFO,
        summary=f"{seen.notice.name} is {seen.notice.standing} for {seeing} of {total} replicas only",
    )
    return replace(seen, notice=notice)


def _named(seeing: Sequence[View], replicas: Sequence[View]) -> str:
    """Return the hosts of those that see it; of several replicas on one host their addresses, as `healthd status`."""
    there = Counter(host for host, _ in {(view.host, view.address) for view in replicas})
    names = sorted({view.address if there[view.host] > 1 else view.host for view in seeing})
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")


def subjects_of(own: Mapping[str, Seen], others: Sequence[View]) -> Iterator[str]:
    """Yield the subjects that some replica looks at."""
    yield from own
    for view in others:
        yield from view.subjects
        yield from view.firing
