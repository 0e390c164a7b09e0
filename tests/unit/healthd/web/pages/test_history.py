"""What the pages remember of each check."""

from datetime import UTC, datetime, timedelta

from healthd.model import Probe, Status, Transition
from healthd.web.pages.history import PROBES, SPANS, History
from tests.fakes.monitoring import UP

NOON = datetime(2026, 3, 29, 12, 0, 1, tzinfo=UTC)


def change(hours_ago: float, old: Status, new: Status, name: str = "db") -> Transition:
    return Transition(name, old, new, NOON - timedelta(hours=hours_ago), None)


def history(*changes: Transition, started: float = 24) -> History:
    it = History(NOON - timedelta(hours=started))
    it.arrange(["db"])
    for one in changes:
        it.changed(one)
    return it


def test_spans_have_the_worst_that_was_seen() -> None:
    """A short outage is not lost between two long healthy times, and what was not seen is not made up."""
    spans = (
        history(
            change(2, Status.UNKNOWN, Status.HEALTHY),
            change(1.1, Status.HEALTHY, Status.UNHEALTHY),
            change(1.09, Status.UNHEALTHY, Status.DEGRADED),
            change(1.08, Status.DEGRADED, Status.HEALTHY),
        )
        .of("db")
        .spans(NOON)
    )
    assert len(spans) == SPANS
    assert set(spans[:-5]) == {None}
    assert spans[-5:] == (Status.HEALTHY, Status.UNHEALTHY, Status.HEALTHY, Status.HEALTHY, Status.HEALTHY)


def test_unknown_hides_no_failure() -> None:
    """A check that failed and then went overdue in the same half hour failed."""
    spans = (
        history(change(0.3, Status.HEALTHY, Status.UNHEALTHY), change(0.2, Status.UNHEALTHY, Status.UNKNOWN))
        .of("db")
        .spans(NOON)
    )
    assert spans[-2:] == (Status.UNHEALTHY, Status.UNKNOWN)


def test_a_day_is_all_that_counts() -> None:
    """What began earlier fills the day."""
    assert set(history(change(50, Status.UNKNOWN, Status.HEALTHY)).of("db").spans(NOON)) == {Status.HEALTHY}


def test_memory_is_bounded() -> None:
    """Probes and transitions of a check that never rests do not add up, and what is gone is forgotten."""
    it = history()
    for n in range(5000):
        it.probed("db", Probe(NOON, 0.1, UP))
        it.changed(change(23 - n / 1000, Status.HEALTHY, Status.UNHEALTHY))
        it.probed("stranger", Probe(NOON, 0.1, UP))
    assert len(it.of("db").answers) == PROBES
    assert len(it.of("db").changes) == 500
    assert not it.of("stranger").answers
    it.arrange(["other"])
    assert not it.of("db").answers


def test_the_journal_tells_of_the_time_before() -> None:
    """Its oldest transition also says what was before it; what this process has seen itself is not taken twice."""
    it = history(change(1, Status.UNKNOWN, Status.HEALTHY), started=1)
    told = [
        change(10, Status.HEALTHY, Status.UNHEALTHY),
        change(5, Status.UNHEALTHY, Status.HEALTHY),
        change(1, Status.UNKNOWN, Status.HEALTHY),
    ]
    it.recall([(t.check, t.at, t.old, t.new) for t in [*told, change(3, Status.HEALTHY, Status.UNHEALTHY, "gone")]])
    spans = it.of("db").spans(NOON)
    assert None not in spans
    assert spans.count(Status.UNHEALTHY) == 11
    assert len(it.of("db").changes) == 4
