"""`healthd gate list` and `show`, as a person at an 80-column terminal meets them, and as a script does."""

import re
from dataclasses import replace

import pytest
from click.testing import CliRunner

from healthd_gates.client.client import GateClient
from healthd_gates.commands import look
from healthd_gates.commands.delivery import got_worse
from healthd_gates.commands.gate_words import line, tell
from healthd_gates.domain.gate import Decision, EventKind, Gate, GateEvent, GateState, Page, Rollback, RollbackState
from healthd_gates.domain.standing import Reason, Standing, Verdict
from healthd_gates.pages.gate_history import GateHistory
from healthd_gates.pages.labels import sentence_of, state_of
from healthd_gates.pages.timeline import timeline
from healthd_gates.schema.gate import GateDocument, GatesDocument
from tests.unit.gates.engine.test_notifications import GATE, START

IDS = [f"01a2155b3c{number:02x}7{'0' * 19}" for number in range(12)]
FAILED = Rollback(RollbackState.FAILED, "decision", "errors", START, detail="the webhook answered 403")
GATES = [
    replace(GATE, id=gate_id, candidate=GATE.candidate.model_copy(update={"version": "7.1.0-rc.1+build.20261125.3f9c"}))
    for gate_id in IDS[:-1]
] + [replace(GATE, id=IDS[-1], rollback=FAILED)]


@pytest.fixture(autouse=True)
def _daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that knows these gates."""

    async def gates(_client: GateClient, *, service: str | None = None, limit: int = 20, **_: object) -> GatesDocument:
        found: list[Gate] = [gate for gate in reversed(GATES) if service in (None, gate.service)]
        return GatesDocument.of(Page(tuple(found[:limit]), None))

    async def one(_client: GateClient, gate_id: str, **_: object) -> GateDocument:
        return GateDocument.of(next(gate for gate in GATES if gate.id.startswith(gate_id)))

    monkeypatch.setattr(GateClient, "gates", gates)
    monkeypatch.setattr(GateClient, "gate", one)


def test_a_script_reads_whole_ids_on_a_line_each() -> None:
    """And finds the rollbacks that failed."""
    lines = CliRunner(env={"COLUMNS": "80"}).invoke(look.list_gates, []).output.splitlines()
    assert [line.split()[0] for line in lines[1:]] == IDS[::-1]
    assert [line.split()[0] for line in lines if " failed " in line] == [IDS[-1]]


@pytest.mark.parametrize("columns", [80, 100, 160])
def test_on_a_terminal_ids_are_short_and_whole(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """As many characters as tell them apart, never broken over lines."""
    for name, value in {"COLUMNS": str(columns), "FORCE_COLOR": "1", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    output = re.sub(r"\x1b\[[0-9;]*m", "", CliRunner().invoke(look.list_gates, []).output)
    assert all(f"{gate_id[:12]} " in output for gate_id in IDS)
    assert {"gate", "verdict", "rollback"} <= set(output.splitlines()[0].split())


def test_the_last_gate_of_a_service() -> None:
    """Its headline says what matters, and the next step has the id in it."""
    output = CliRunner().invoke(look.show, ["--last", "api"]).output
    assert output.startswith("✗ running, ROLLBACK FAILED  api 2.0")
    assert f"  healthd gate rollback {IDS[-1]} --reason" in output
    assert "has no gate" in CliRunner().invoke(look.show, ["--last", "web"]).output


def test_a_rollback_that_is_stuck_says_how_to_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried on; one that has just begun has nothing to end."""
    for detail, said in (("traffic-back was tried 3 times", True), (None, False)):
        stuck = replace(GATES[-1], rollback=replace(FAILED, state=RollbackState.DUE, detail=detail))
        monkeypatch.setitem(globals(), "GATES", [stuck])
        output = CliRunner().invoke(look.show, [IDS[-1]]).output
        assert (f"  healthd gate give-up {IDS[-1]} --done --reason" in output, "goes on trying" in output) == (
            said,
            said,
        )


def test_a_reason_that_only_a_newer_daemon_knows_is_shown() -> None:
    """It is there before its clients: a deploy whose gate has it would be undone for a line of its progress."""
    decision = Decision(Verdict.PASS, Verdict.PASS, "proven_safe", "Proven safe.", START, observed=True)
    standing = Standing(START, 60.0, None, Reason.HARM_SUSPECTED, "It waits for the tide.", 0.0, 4.6, ())
    gate = GateDocument.of(replace(GATE, decision=decision, standing=standing, rollback=None))
    assert gate.standing is not None
    newer = gate.model_copy(update={"standing": gate.standing.model_copy(update={"reason": "of_tomorrow"})})
    assert (line(newer), got_worse(newer)) == (line(gate), False)


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INCONCLUSIVE])
def test_a_verdict_that_is_only_observed_is_no_failed_deploy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verdict: Verdict
) -> None:
    """Its words and its sign say so wherever it is shown: its exit code is 0, and the version has the traffic."""
    decision = Decision(verdict, Verdict.PASS, "harm", "Only observed, so that nothing follows.", START, observed=True)
    gate = replace(GATE, decision=decision)
    monkeypatch.setitem(globals(), "GATES", [gate])
    for command, arguments in ((look.list_gates, []), (look.show, [gate.id])):
        output = CliRunner().invoke(command, arguments).output
        assert (f"▲ {verdict}, only observed" in output, "✗" in output) == (True, False)
    tell(GateDocument.of(gate), as_json=False)
    assert capsys.readouterr().out.startswith(f"{verdict}, only observed: api 2.0: Only observed")


def test_harm_in_a_watch_that_only_observes_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In lists it read as a plain pass, and on the page as a watch that was well."""
    decision = Decision(Verdict.PASS, Verdict.PASS, "proven_safe", "Proven safe.", START, observed=True)
    harmed = Standing(START, 60.0, Verdict.FAIL, Reason.HARM, "The error rate is above its limit.", 9.0, 4.6, ())
    gate = replace(GATE, decision=decision, standing=harmed, rollback=None, state=GateState.FINISHED, watch_until=START)
    monkeypatch.setitem(globals(), "GATES", [gate])
    for command, arguments in ((look.list_gates, []), (look.show, [gate.id])):
        assert "▲ fail in the watch, only observed" in CliRunner().invoke(command, arguments).output
    tell(GateDocument.of(gate), as_json=False)
    assert capsys.readouterr().out.startswith("fail in the watch, only observed: api 2.0: ")
    assert state_of(gate) == ("degraded", "Late regression, only observed")
    assert sentence_of(gate) == "The error rate is above its limit."
    event = GateEvent(gate.id, 1, START, EventKind.STATE, {"state": "watching"})
    watch = next(step for step in timeline(GateHistory(gate, log=[event])) if step.title == "Watch")
    assert (watch.sign, watch.note) == ("unhealthy", "it found a regression")


@pytest.mark.parametrize("arguments", [[], [IDS[0], "--last", "api"]])
def test_one_gate_is_asked_for(arguments: list[str]) -> None:
    """Not none, and not two."""
    result = CliRunner().invoke(look.show, arguments)
    assert (result.exit_code, "--last SERVICE" in result.output) == (2, True)
