"""Prints what simulated ramps would harm, and how soon a healthy release has all of the traffic."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from healthd.commands.terminal import echo, terminal
from healthd.units import show_duration
from healthd_gates.config.policy import Policy
from healthd_gates.domain import ramp_wording
from healthd_gates.engine.ramp_simulation import RampForecast
from healthd_gates.judge.explain import percent
from healthd_gates.judge.ramp import usual_budget
from healthd_gates.judge.simulated_traffic import Traffic


def print_ramps(name: str, policy: Policy, traffic: Traffic, rows: Sequence[RampForecast]) -> None:
    """Print a row for each kind of release, and the weights of one healthy release."""
    assert policy.ramp is not None
    console, healthy = terminal(), rows[0]
    budget = policy.ramp.budget or usual_budget(traffic.baseline)
    said = f"a budget of {budget:,.0f} requests" if policy.ramp.budget else f"the usual budget of about {budget:,.0f}"
    echo(console, f"{name} at {traffic.baseline:g} requests/s, with {said}, {healthy.runs} simulated gates a line")
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("release", no_wrap=True)
    for title in ("taken back", "half by", "harmed", "9 in 10", "widest", "has all by", "passed", "half by"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.change.name,
            share_of(row.back),
            after(row.back_median),
            f"{row.harmed:,.0f}",
            f"{row.harmed_90:,.0f}",
            ramp_wording.percent(row.widest),
            after(row.full_median),
            share_of(row.passed),
            after(row.passed_median),
        )
    echo(console, table)
    steps = ", ".join(f"{ramp_wording.percent(weight)} at {after(seconds)}" for seconds, weight in healthy.weights)
    echo(console, f"One of the healthy releases had {steps or 'no traffic at all'}. {healthy.ended}")
    echo(
        console,
        f"Of healthy releases the policy promises to roll back at most {percent(policy.risk.false_rollback)}; "
        f"{share_of(healthy.failed)} were here, which speaks for at most {percent(healthy.failed_at_most)}.",
    )


def share_of(share: float) -> str:
    """Return a share in percent, to three digits."""
    return f"{100 * share:.3g} %"


def after(seconds: float | None) -> str:
    """Return a time after the start, or a dash for one that does not come."""
    return "–" if seconds is None else show_duration(round(seconds))
