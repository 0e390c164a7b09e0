"""`healthd gate report`: what the gates of the last days said, and what those would have done that only observe."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import click
from rich.table import Table
from rich.text import Text

from healthd.commands.options import json_option
from healthd.commands.printing import Printing
from healthd.commands.terminal import echo, terminal
from healthd.commands.values import WholeNumber
from healthd.units import show_duration
from healthd_gates.client.client import GateClient
from healthd_gates.commands.connection import asking
from healthd_gates.commands.delivery import Delivery, deliveries, got_worse
from healthd_gates.commands.gate_words import LATE, rollback_words
from healthd_gates.schema.gate import GateDocument

_PAGE = 200


@dataclass(frozen=True, slots=True)
class Line:
    """The gates of one service under one policy. `observed` counts those that only observed, and `would_roll_back`
    those of them that would have put the traffic back, in the gate or in its watch."""

    service: str
    policy: str
    gates: int
    passed: int
    failed: int
    inconclusive: int
    rolled_back: int
    observed: int
    would_roll_back: int


@dataclass(frozen=True, slots=True)
class Finding:
    """A gate that did not pass, or would not have."""

    gate: str
    service: str
    version: str
    at: datetime
    outcome: str
    sentence: str


@click.command(cls=Printing)
@click.option("--service", help="The gates of this service only.")
@click.option("--days", default=30, show_default=True, type=WholeNumber(1, 3650), help="For how many days back.")
@json_option
@asking
async def report(client: GateClient, service: str | None, days: int, as_json: bool) -> None:
    """Report what gates said, and would have done.

    For each service and policy: how many gates passed, failed and said nothing, and how many of those that only observe
    (`mode: observe`) would have rolled back. For each service the four DORA metrics: how often it was deployed, the
    lead time of a change, the share of changes that failed, and the time to restore. Then every gate that did not pass,
    with its sentence.
    """
    gates = await _since(client, service, datetime.now(UTC) - timedelta(days=days))
    lines, findings = summary(gates)
    if as_json:
        document = {
            "days": days,
            "lines": [asdict(line) for line in lines],
            "delivery": [asdict(it) for it in deliveries(gates, days)],
            "gates": [asdict(it) for it in findings],
        }
        click.echo(json.dumps(document, indent=2, default=str))
        return
    _print(lines, deliveries(gates, days), findings, days)


async def _since(client: GateClient, service: str | None, start: datetime) -> list[GateDocument]:
    """Return the decided gates since a moment, newest first."""
    found, before = list[GateDocument](), None
    while True:
        page = await client.gates(service=service, state=None, limit=_PAGE, before=before)
        found += [gate for gate in page.gates if gate.created_at >= start and gate.decision is not None]
        before = page.next
        if before is None or (page.gates and page.gates[-1].created_at < start):
            return found


def summary(gates: Sequence[GateDocument]) -> tuple[list[Line], list[Finding]]:
    """Return one line for each service and policy, and every gate that did not pass or would not have."""
    groups: dict[tuple[str, str], list[GateDocument]] = {}
    for gate in gates:
        groups.setdefault((gate.service, gate.policy), []).append(gate)
    lines = [
        Line(
            service=service,
            policy=policy,
            gates=len(group),
            passed=sum(gate.verdict == "pass" for gate in group),
            failed=sum(gate.verdict == "fail" for gate in group),
            inconclusive=sum(gate.verdict == "inconclusive" for gate in group),
            rolled_back=sum(gate.rollback is not None for gate in group),
            observed=sum(_is_observed(gate) for gate in group),
            would_roll_back=sum(_would_roll_back(gate) for gate in group),
        )
        for (service, policy), group in sorted(groups.items())
    ]
    return lines, [_finding(gate) for gate in gates if gate.verdict != "pass" or got_worse(gate)]


def _is_observed(gate: GateDocument) -> bool:
    return gate.decision is not None and gate.decision.observed


def _would_roll_back(gate: GateDocument) -> bool:
    return _is_observed(gate) and (gate.verdict == "fail" or got_worse(gate))


def _finding(gate: GateDocument) -> Finding:
    if gate.rollback is not None and gate.rollback.by is not None:
        outcome = f"{gate.verdict}, {rollback_words(gate.rollback)}"
        return Finding(gate.id, gate.service, gate.candidate.version, gate.created_at, outcome, gate.rollback.reason)
    said = gate.standing if got_worse(gate) else gate.decision
    outcome = LATE if got_worse(gate) else gate.verdict
    if _is_observed(gate):
        outcome = f"would be {outcome}"
    elif gate.rollback is not None:
        outcome = f"{outcome}, {gate.rollback.state.value.replace('_', ' ')}"
    sentence = (gate.told if said is gate.decision else said.sentence if said is not None else None) or ""
    return Finding(gate.id, gate.service, gate.candidate.version, gate.created_at, outcome, sentence)


def _print(lines: Sequence[Line], delivered: Sequence[Delivery], findings: Sequence[Finding], days: int) -> None:
    console = terminal()
    if not lines:
        echo(console, f"no gate was decided in the last {days} days")
        return
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for title in ("service", "policy"):
        table.add_column(title, overflow="fold")
    for title in ("gates", "passed", "failed", "inconclusive", "rolled back", "observed", "would roll back"):
        table.add_column(title, justify="right", no_wrap=True)
    for line in lines:
        ended = (line.passed, line.failed, line.inconclusive, line.rolled_back)
        numbers = (line.gates, *ended, line.observed, line.would_roll_back)
        table.add_row(Text(line.service), Text(line.policy), *map(str, numbers))
    echo(console, table)
    echo(console)
    echo(console, _performance(delivered))
    for found in findings:
        moment = f"{found.at.astimezone(UTC):%Y-%m-%d %H:%M}"
        head = f"{moment}  {found.service} {found.version}  {found.outcome}  gate {found.gate}"
        echo(console, Text(head, style="bold"))
        echo(console, Text(f"  {found.sentence}", style="dim"))


def _performance(delivered: Sequence[Delivery]) -> Table:
    """The four DORA metrics of each service."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("service", overflow="fold")
    for title in ("deployments", "a week", "lead time", "change failure rate", "time to restore"):
        table.add_column(title, justify="right", no_wrap=True)
    for each in delivered:
        rate = f"{each.failure_rate:.0%} ({each.failed} of {each.deployments})"
        times = (_time(each.lead_time), rate, _time(each.time_to_restore))
        table.add_row(Text(each.service), str(each.deployments), f"{7 * each.per_day:.1f}", *times)
    return table


def _time(seconds: float | None) -> str:
    return "not known" if seconds is None else show_duration(round(seconds))
