"""A gate on the terminal."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from healthd.commands.terminal import echo, terminal
from healthd_gates.client.exit_codes import code_of
from healthd_gates.commands.gate_picture import picture
from healthd_gates.commands.gate_words import line, tell
from healthd_gates.commands.report import summary
from healthd_gates.commands.view import showing
from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.domain.evidence import Counts, Evidence
from healthd_gates.domain.gate import Decision, Gate, GateState, Page, Rollback, RollbackState
from healthd_gates.domain.ramp import Ramp
from healthd_gates.domain.ramp_wording import not_done
from healthd_gates.domain.request import Deployment, Version
from healthd_gates.domain.standing import Verdict
from healthd_gates.engine.transitions import cancel
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules, Timing
from healthd_gates.schema.gate import GateDocument, GatesDocument

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
SILENT = "a series of the candidate is missing"


def gate(errors: int = 1, looks: int = 3) -> Gate:
    """A gate of 100 requests a look."""
    judge = Judge(Rules((ErrorRate(),), timing=Timing(5, 0, 60, 600)))
    for look in range(1, looks + 1):
        standing = judge.step(Evidence(NOW + timedelta(seconds=5 * look), 5, Counts(100, errors)))
    return Gate(
        id="g1",
        service="api",
        policy="quick",
        candidate=Version(version="1.4.2"),
        baseline=None,
        deployment=Deployment(),
        rollback_mode="auto",
        caller="ci",
        state=GateState.OBSERVING,
        created_at=NOW,
        decides_by=NOW + timedelta(minutes=10),
        standing=standing,
        notes=(SILENT,),
    )


def decided(verdict: Verdict, counts_as: Verdict | None = None) -> Gate:
    decision = Decision(verdict, counts_as or verdict, "harm", "So it is.", NOW)  # type: ignore[arg-type]
    return replace(gate(), state=GateState.FINISHED, decision=decision)


FORGED_DECISION = Decision(Verdict.FAIL, Verdict.FAIL, "harm", "ada: typo\nroot: forged", NOW)


def drawn(shown: Gate, width: int = 120) -> str:
    console = Console(width=width, force_terminal=False)
    with console.capture() as captured:
        console.print(picture(GateDocument.of(shown), NOW + timedelta(seconds=15), width))
    return captured.get()


def test_a_reason_stays_in_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A person's words stand in the sentence of a verdict."""
    document = GateDocument.of(replace(decided(Verdict.FAIL), decision=FORGED_DECISION))
    tell(document, as_json=False)
    assert "\nroot: forged" not in capsys.readouterr().out + line(document)
    assert "\\nroot: forged" in line(document)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_view_says_how_things_stand(width: int) -> None:
    """Who, how long, each criterion with its line and its sentence, and what speaks against silence."""
    text = drawn(gate(), width)
    for said in ("running  api 1.4.2", "begun 15s ago, a verdict within 9m45s", "error_rate", "1 %", "●", "┃", SILENT):
        assert said in text
    assert max(map(len, text.splitlines())) <= width
    assert ("between" in text) == (width >= 100)


def test_a_held_gate_says_what_to_do() -> None:
    """The command is there to be copied."""
    held = replace(gate(), state=GateState.HELD)
    assert "healthd gate approve|reject g1" in drawn(held)
    assert line(GateDocument.of(held)).endswith(" A person decides: healthd gate approve|reject g1 --reason …")


def test_nothing_is_folded_where_no_terminal_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A job's log, a pager or `grep` has whole lines, whatever width somebody's variable says."""
    monkeypatch.setenv("COLUMNS", "40")
    console = terminal()
    table = Table("left", "right", box=None)
    table.add_row("short", "a word " * 60)
    table.add_row("second", "end")
    echo(console, table, Text("a sentence " * 60))
    lines = capsys.readouterr().out.splitlines()
    assert [len(line) > 300 for line in lines] == [False, True, False, True]
    assert all(line == line.rstrip() for line in lines)


def test_the_last_word_repeats_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A decision tells of the critical criteria already."""
    shown = decided(Verdict.PASS)
    assert shown.standing is not None
    assert shown.decision is not None
    sentence = shown.standing.criteria[0].sentence
    tell(GateDocument.of(replace(shown, decision=replace(shown.decision, sentence=f"Safe. {sentence}"))), as_json=False)
    assert capsys.readouterr().out == f"pass: api 1.4.2: Safe. {sentence}\n"


def test_a_reason_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    """By the verdict: neither by a line before it nor by the rollback that it calls for."""
    failed = decided(Verdict.FAIL)
    due = Rollback(RollbackState.DUE, "decision", "So it is.", NOW, detail="lb says no: 403")
    shown = GateDocument.of(replace(failed, state=GateState.ACTING, rollback=due))
    with showing(quiet=False, until_verdict=True) as show:
        show(GateDocument.of(gate()))
        show(shown)
    tell(shown, as_json=False)
    out, err = capsys.readouterr()
    assert (out + err).count("So it is.") == 1
    assert out.startswith("fail: api 1.4.2: So it is.\n")
    assert out.endswith("\n  rollback: due: Being rolled back (lb says no: 403)\n")
    assert err.count("\n") == 1
    assert drawn(replace(failed, rollback=due)).count("So it is.") == 1


def test_a_rollback_for_another_reason_tells_it(capsys: pytest.CaptureFixture[str]) -> None:
    """After a pass, or by a person."""
    tell(GateDocument.of(replace(decided(Verdict.PASS), rollback=ROLLED_BACK)), as_json=False)
    assert "\n  rollback: rolled_back: Rolled back: late harm\n" in capsys.readouterr().out


ROLLED_BACK = Rollback(RollbackState.ROLLED_BACK, "watch", "late harm", NOW)


@pytest.mark.parametrize(
    ("shown", "code"),
    [
        (decided(Verdict.PASS), 0),
        (decided(Verdict.INCONCLUSIVE, Verdict.PASS), 0),
        (decided(Verdict.FAIL), 1),
        (replace(decided(Verdict.PASS), rollback=ROLLED_BACK), 1),
        (decided(Verdict.INCONCLUSIVE, Verdict.FAIL), 2),
        (replace(gate(), state=GateState.CANCELLED), 2),
        (gate(), 2),
    ],
    ids=["pass", "lenient", "fail", "rolled back since", "inconclusive", "cancelled", "running"],
)
def test_only_a_deploy_that_may_stay_is_0(shown: Gate, code: int) -> None:
    """Whatever else became of it."""
    assert code_of(GateDocument.of(shown)) == code


def test_the_page_is_shown_where_it_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    """As the daemon says it is reached; on a line of its own, to be clicked."""
    shown = GateDocument.of(decided(Verdict.PASS), "https://healthd.example.com")
    address = "https://healthd.example.com/gates/g1/page"
    tell(shown, as_json=False)
    console = Console(width=60)
    console.print(picture(shown, NOW, 60))
    assert [line.strip() for line in capsys.readouterr().out.splitlines()].count(address) == 2
    tell(GateDocument.of(decided(Verdict.PASS)), as_json=False)
    assert "http" not in capsys.readouterr().out


def test_a_cancelled_gate_says_who_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    step = cancel(gate(), "kim", "the wrong version", NOW)
    document = GateDocument.of(step.gate)
    assert line(document) == "cancelled: Cancelled by kim: the wrong version"
    tell(document, as_json=False)
    assert "Cancelled by kim: the wrong version" in capsys.readouterr().out
    assert drawn(step.gate).count("Cancelled by kim: the wrong version") == 1


def test_a_persons_word_bears_the_persons_name() -> None:
    decision = Decision(Verdict.FAIL, Verdict.FAIL, "person", "stop", NOW, "kim")
    stopped = replace(gate(), state=GateState.FINISHED, decision=decision)
    assert "kim: stop" in drawn(stopped)
    _, (found,) = summary([GateDocument.of(stopped)])
    assert found.sentence == "kim: stop"


def test_a_weight_action_that_fails_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    held = ("it is under way", not_done("shift", "lb says no: 403"), not_done("shift", "lb says no: 403, again"))
    with showing(quiet=False) as show:
        for why in held:
            ramp = Ramp(until=NOW, weight=0.08, step=1, held=why)
            show(GateDocument.of(replace(gate(), state=GateState.RAMPING, ramp=ramp)))
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert "shift is not done yet: lb says no: 403." in told[1]


def test_a_log_says_first_how_long_it_can_take_and_where_it_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A pipeline's log has no live view; of a ramp also until when it has all of the traffic, as long as it has not."""
    now = datetime.now(UTC)
    began = replace(gate(), created_at=now, decides_by=now + timedelta(minutes=10, seconds=0.4))
    ramps = replace(began, state=GateState.RAMPING, ramp=Ramp(until=now + timedelta(minutes=4, seconds=0.4)))
    assert ramps.ramp is not None
    full = replace(ramps, ramp=replace(ramps.ramp, weight=1.0, full_at=now))
    for shown, takes in (
        (began, "a verdict within 10m"),
        (ramps, "all of the traffic within 4m, a verdict within 10m"),
        (full, "a verdict within 10m"),
        (replace(began, state=GateState.HELD), ""),
    ):
        with showing(quiet=False) as show:
            show(GateDocument.of(shown, "https://healthd.example.com"))
            show(GateDocument.of(shown, "https://healthd.example.com"))
        first, _ = capsys.readouterr().err.splitlines()
        told = ", ".join(filter(None, (takes, "https://healthd.example.com/gates/g1/page")))
        assert first == f"gate g1 of api 1.4.2: {told}"


def test_a_journal_that_is_away_is_told_as_long_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Once when it begins, and how the gate stands once it is over."""
    away = GateDocument.of(gate(), journal_away_since=NOW)
    with showing(quiet=False) as show:
        for shown in (GateDocument.of(gate()), away, away, GateDocument.of(gate())):
            show(shown)
    before, told, after = capsys.readouterr().err.splitlines()
    assert told.endswith(
        ": observing: The journal is away since 12:00:00 UTC: nothing is decided or rolled back until it is back."
    )
    assert before == after
    console = Console(width=200)
    with console.capture() as captured:
        console.print(picture(away, NOW, 200))
    assert "The journal is away since 12:00:00 UTC" in captured.get()
    assert GateDocument.of(decided(Verdict.PASS), journal_away_since=NOW).waits_for is None


def test_a_list_of_gates_tells_of_the_journal_as_one_of_them_does() -> None:
    """`healthd gate show --last SERVICE` reads it: the numbers of a gate stood still, and nothing said why."""
    listed = GatesDocument.of(Page((gate(), decided(Verdict.PASS)), None), journal_away_since=NOW)
    assert [each.journal_away_since for each in listed.gates] == [NOW, None]


def test_a_rollback_that_a_person_called_for_is_no_verdict_of_the_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    """Who called for it, and why, once; a rejection says who it was too."""
    decision = Decision(Verdict.FAIL, Verdict.FAIL, "person", "carts are empty", NOW, "bob")
    rollback = Rollback(RollbackState.ROLLED_BACK, "person", "carts are empty", NOW, by="bob")
    tell(GateDocument.of(replace(decided(Verdict.FAIL), decision=decision, rollback=rollback)), as_json=False)
    out = capsys.readouterr().out
    assert out.startswith("fail: api 1.4.2: bob called for a rollback: carts are empty\n")
    assert "  rollback: rolled_back: Rolled back\n" in out
    tell(GateDocument.of(replace(decided(Verdict.FAIL), decision=decision)), as_json=False)
    assert capsys.readouterr().out.startswith("fail: api 1.4.2: bob: carts are empty\n")
