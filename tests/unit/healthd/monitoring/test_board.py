"""What is known of checks and groups, and for how long it is believed."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from healthd.checks.contract import CheckConfig, Scope
from healthd.config.sections import Group
from healthd.config.window import Maintenance
from healthd.model import Probe, Result, Status
from healthd.monitoring.board import Board
from healthd.monitoring.state import CheckState
from tests.fakes.monitoring import DOWN, MIDNIGHT, SLOW, UP, HandClock


def config(**options: object) -> CheckConfig:
    return CheckConfig.model_validate({"kind": "scripted", "interval": "10s", "timeout": "2s", **options})


class Wall:
    """A board with checks and groups, and results put on it by hand."""

    def __init__(self, checks: dict[str, CheckConfig], groups: dict[str, Group], *windows: Maintenance) -> None:
        self.clock = HandClock()
        self.board = Board(self.clock)
        self.board.arrange(checks, groups, windows)

    def put(self, name: str, result: Result) -> None:
        state = self.board.check(name)
        probe = Probe(self.clock.now(), 0.01, result)
        good_until = self.clock.steady() + state.config.fresh_for
        self.board.put(CheckState(name, state.config, result.status, probe.at, probe, None, good_until))

    def ready(self, group: str = "ready") -> bool:
        return self.board.group(group).ready


def test_never_run_is_not_ready() -> None:
    """Before the first result nobody knows, so the answer is no."""
    wall = Wall({"db": config()}, {"ready": Group(checks=("db",))})
    assert not wall.ready()
    assert wall.board.check("db").status is Status.UNKNOWN
    assert not wall.board.check("db").overdue


def test_stale_exactly_at_its_limit() -> None:
    """Three intervals and a timeout: a moment before it is believed, at that moment no more."""
    wall = Wall({"db": config()}, {"ready": Group(checks=("db",))})
    wall.put("db", UP)
    wall.clock.seconds += 31.999
    assert wall.ready()
    assert wall.board.next_expiry() == pytest.approx(wall.clock.seconds + 0.001)
    wall.clock.seconds += 0.001
    assert not wall.ready()
    assert wall.board.check("db").overdue
    assert wall.board.next_expiry() == float("inf")


def test_overdue_since_its_limit() -> None:
    """What is overdue tells since when nobody knows, not since when it was healthy."""
    wall = Wall({"db": config()}, {})
    wall.put("db", UP)
    limit = wall.clock.now() + timedelta(seconds=32)
    wall.clock.seconds += 500
    assert wall.board.check("db").since == limit


def test_degraded_is_ready() -> None:
    """A slow database serves."""
    wall = Wall({"db": config()}, {"ready": Group(checks=("db",))})
    wall.put("db", SLOW)
    assert wall.ready()
    assert wall.board.group("ready").status is Status.DEGRADED


def test_an_empty_group_is_ready() -> None:
    """`live` depends on nothing outside the process."""
    assert Wall({}, {"live": Group()}).ready("live")


@pytest.mark.parametrize(
    ("policy", "scope", "result", "ready", "tolerating"),
    [
        ("fail", Scope.SHARED, DOWN, False, False),
        ("degrade", Scope.SHARED, DOWN, True, True),
        ("degrade", Scope.LOCAL, DOWN, False, False),
        ("degrade", Scope.SHARED, UP, True, False),
        ("degrade", Scope.SHARED, SLOW, True, False),
        ("degrade", Scope.SHARED, None, False, False),
    ],
)
def test_shared_failure(policy: str, scope: Scope, result: Result | None, ready: bool, tolerating: bool) -> None:
    """Failures that every replica shares may be tolerated; not knowing never is, nor is what is wrong here alone."""
    group = Group.model_validate({"checks": ("db",), "shared_failure": policy})
    wall = Wall({"db": config(scope=scope)}, {"ready": group})
    if result is not None:
        wall.put("db", result)
    state = wall.board.group("ready")
    assert (state.ready, state.tolerating) == (ready, tolerating)


def test_a_tolerated_shared_failure_that_goes_stale_is_red() -> None:
    """Tolerance is for failures that are seen."""
    wall = Wall({"db": config()}, {"ready": Group(checks=("db",), shared_failure="degrade")})
    wall.put("db", DOWN)
    assert wall.ready()
    wall.clock.seconds += 32
    assert not wall.ready()


def test_one_local_failure_among_tolerated_ones_is_red() -> None:
    """The worst that counts decides."""
    checks = {"db": config(), "disk": config(scope="local")}
    wall = Wall(checks, {"ready": Group(checks=("db", "disk"), shared_failure="degrade")})
    wall.put("db", DOWN)
    wall.put("disk", DOWN)
    assert not wall.ready()


class TestMaintenance:
    """Planned windows."""

    window = Maintenance.model_validate(
        {
            "checks": ("db",),
            "from": MIDNIGHT + timedelta(seconds=1100),
            "to": MIDNIGHT + timedelta(seconds=1200),
            "reason": "upgrade",
        }
    )

    def wall(self) -> Wall:
        return Wall({"db": config()}, {"ready": Group(checks=("db",))}, self.window)

    def test_covers_its_window_and_not_its_end(self) -> None:
        """From its first moment until just before its last."""
        wall = self.wall()
        for seconds, reason in ((1099.9, None), (1100.0, "upgrade"), (1199.9, "upgrade"), (1200.0, None)):
            wall.clock.seconds = seconds
            assert wall.board.check("db").maintenance == reason

    def test_failures_and_silence_count_for_nothing_within(self) -> None:
        """Neither a failure nor an overdue result makes the group red, nor does the overall status show it."""
        wall = self.wall()
        wall.put("db", DOWN)
        assert not wall.ready()
        wall.clock.seconds = 1150
        assert wall.ready()
        assert wall.board.overall() is Status.HEALTHY
        assert wall.board.check("db").status is Status.UNKNOWN

    def test_red_again_at_its_end(self) -> None:
        """What is still broken when the window closes is broken."""
        wall = self.wall()
        wall.clock.seconds = 1199.9
        wall.put("db", DOWN)
        assert wall.ready()
        wall.clock.seconds = 1200
        assert not wall.ready()

    def test_tolerates_nothing(self) -> None:
        """A check in maintenance is not a tolerated failure: it does not count at all."""
        wall = Wall({"db": config()}, {"ready": Group(checks=("db",), shared_failure="degrade")}, self.window)
        wall.clock.seconds = 1150
        wall.put("db", DOWN)
        assert not wall.board.group("ready").tolerating


class TestStartup:
    """The startup group asks whether each check was probed, and latches."""

    def wall(self, *more: str) -> Wall:
        group = Group(checks=("db", *more))
        return Wall({name: config() for name in group.checks}, {"startup": group, "ready": group})

    def test_what_is_down_does_not_keep_it_from_starting(self) -> None:
        """Else Kubernetes would restart it again and again while a database is away."""
        wall = self.wall("mail")
        wall.put("mail", UP)
        assert not wall.ready("startup")
        wall.put("db", DOWN)
        assert wall.ready("startup")
        assert not wall.ready("ready")

    def test_what_is_in_maintenance_need_not_be_probed(self) -> None:
        wall = Wall({"db": config()}, {"startup": Group(checks=("db",))}, TestMaintenance.window)
        assert not wall.ready("startup")
        wall.clock.seconds = 1150
        assert wall.ready("startup")

    def test_started_once_is_started_for_good(self) -> None:
        """A later failure is a matter of readiness, not of the start."""
        wall = self.wall()
        assert not wall.ready("startup")
        wall.put("db", UP)
        assert wall.ready("startup")
        wall.put("db", DOWN)
        assert wall.ready("startup")
        assert not wall.ready("ready")

    def test_a_start_that_nobody_saw_counts(self) -> None:
        """Whether a probe happened to ask at that moment makes no difference."""
        wall = self.wall()
        wall.put("db", UP)
        wall.put("db", DOWN)
        assert wall.ready("startup")

    def test_a_reload_does_not_undo_the_start(self) -> None:
        """New checks have not run yet; the process has started all the same."""
        wall = self.wall()
        wall.put("db", UP)
        wall.board.arrange({"new": config()}, {"startup": Group(checks=("new",))}, ())
        assert wall.ready("startup")


def test_draining_is_not_ready_but_else_the_same() -> None:
    """A daemon that is about to stop asks for no more traffic, and its other groups tell the truth."""
    wall = Wall({"db": config()}, {"ready": Group(checks=("db",)), "own": Group(checks=("db",)), "live": Group()})
    wall.put("db", UP)
    wall.board.drain()
    assert [wall.ready(name) for name in ("ready", "own", "live")] == [False, True, True]
    assert wall.board.overall() is Status.HEALTHY


def test_overall_is_the_worst_critical() -> None:
    """What is not critical can only degrade."""
    wall = Wall({"db": config(critical=True), "mail": config()}, {})
    wall.put("db", UP)
    assert wall.board.overall() is Status.DEGRADED
    wall.put("mail", DOWN)
    assert wall.board.overall() is Status.DEGRADED
    wall.put("mail", UP)
    assert wall.board.overall() is Status.HEALTHY
    wall.put("db", DOWN)
    assert wall.board.overall() is Status.UNHEALTHY


def test_arrange_keeps_what_did_not_change() -> None:
    """A reload forgets nothing of a check with the same configuration."""
    wall = Wall({"same": config(), "changed": config(), "gone": config()}, {})
    for name in ("same", "changed", "gone"):
        wall.put(name, UP)
    same = wall.board.check("same")
    wall.board.arrange({"same": config(), "changed": config(fall=1), "new": config()}, {}, ())
    assert wall.board.check("same") == same
    assert {s.name: s.status for s in wall.board.checks()} == {
        "same": Status.HEALTHY,
        "changed": Status.HEALTHY,
        "new": Status.UNKNOWN,
    }


def test_results_of_another_configuration_are_not_taken() -> None:
    """Neither of a check that was removed, nor of what a check was before a reload."""
    wall = Wall({"db": config()}, {})
    old = CheckState("db", config(fall=2), Status.HEALTHY)
    gone = CheckState("gone", config(), Status.HEALTHY)
    version = wall.board.version
    wall.board.put(old)
    wall.board.put(gone)
    assert wall.board.check("db").status is Status.UNKNOWN
    assert "gone" not in wall.board
    assert wall.board.version == version


def test_version_grows_with_every_change() -> None:
    """Whoever keeps rendered answers sees that they are old."""
    wall = Wall({"db": config()}, {})
    versions = [wall.board.version]
    changes: list[Callable[[], object]] = [
        lambda: wall.put("db", UP),
        wall.board.drain,
        lambda: wall.board.arrange({}, {}, ()),
    ]
    for change in changes:
        change()
        versions.append(wall.board.version)
    assert sorted(set(versions)) == versions


def test_a_check_whose_options_changed_goes_on() -> None:
    """A reload begins no new failure and ends none: since when, why and how far it is stand as they were, for as long
    as the next probe may take."""
    wall = Wall({"db": config()}, {"ready": Group(checks=("db",))})
    wall.put("db", DOWN)
    before = wall.board.check("db")
    wall.clock.seconds += 5
    wall.board.arrange({"db": config(interval="9s")}, {"ready": Group(checks=("db",))}, ())
    now = wall.board.check("db")
    assert (now.status, now.counted, now.since, now.probe) == (
        Status.UNHEALTHY,
        Status.UNHEALTHY,
        before.since,
        before.probe,
    )
    assert now.own_probe is None
    wall.clock.seconds += 16.999
    assert wall.board.check("db").status is Status.UNHEALTHY
    wall.clock.seconds += 0.001
    assert wall.board.check("db").overdue
    wall.board.arrange({"db": config(interval="8s")}, {"ready": Group(checks=("db",))}, ())
    assert wall.board.check("db").overdue, "a reload makes nothing young again"


def test_a_reload_alone_takes_nobody_out() -> None:
    """A new check does not count until it was probed, one that changed stays as it is; neither for ever."""
    wall = Wall({"db": config(), "cache": config()}, {"ready": Group(checks=("db", "cache"))})
    groups = {"ready": Group(checks=("db", "cache", "new"))}
    wall.put("db", UP)
    wall.put("cache", UP)
    wall.board.arrange({"db": config(interval="9s"), "cache": config(), "new": config(critical=True)}, groups, ())
    assert wall.ready()
    assert wall.board.overall() is Status.HEALTHY
    assert [wall.board.check(name).status for name in ("db", "new")] == [Status.HEALTHY, Status.UNKNOWN]
    wall.put("new", DOWN)
    assert not wall.ready()
    wall.put("new", UP)
    wall.put("db", DOWN)
    wall.board.arrange({"db": config(interval="8s"), "cache": config(), "new": config(critical=True)}, groups, ())
    wall.board.arrange({"db": config(interval="7s"), "cache": config(), "new": config(critical=True)}, groups, ())
    assert not wall.ready(), "what was down is down until it was probed"
    wall.put("db", UP)
    assert wall.ready()


def test_reloads_in_a_row_do_not_prolong_what_a_check_counts_as() -> None:
    """A check that each of them changes is never probed to its end, and is not healthy for ever."""
    groups = {"ready": Group(checks=("db",))}
    wall = Wall({"db": config()}, groups)
    wall.put("db", UP)
    for seconds in (11, 12, 13):
        wall.board.arrange({"db": config(interval=f"{seconds}s")}, groups, ())
        assert wall.ready(), seconds
        wall.clock.seconds += 6.0
    assert not wall.ready()
    wall.board.arrange({"db": config(interval="14s")}, groups, ())
    assert not wall.ready()


def test_a_reload_before_the_first_result_lets_nobody_in() -> None:
    """The process has not started yet, whatever its checks are called by now."""
    groups = {"startup": Group(checks=("db",)), "ready": Group(checks=("db",))}
    wall = Wall({"db": config()}, groups)
    renamed = {name: Group(checks=("database",)) for name in groups}
    wall.board.arrange({"database": config()}, renamed, ())
    assert not wall.ready()
    assert not wall.ready("startup")
    wall.put("database", UP)
    assert wall.ready("startup")


def test_a_new_check_that_nobody_probes_counts_after_its_time() -> None:
    wall = Wall({"db": config()}, {"ready": Group(checks=("db",))})
    wall.put("db", UP)
    wall.board.arrange({"db": config(), "new": config()}, {"ready": Group(checks=("db", "new"))}, ())
    wall.clock.seconds += 16.999
    wall.put("db", UP)
    assert wall.ready()
    assert wall.board.next_expiry() == pytest.approx(wall.clock.seconds + 0.001)
    wall.clock.seconds += 0.001
    assert not wall.ready()
