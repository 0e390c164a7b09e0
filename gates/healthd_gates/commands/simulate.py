"""`healthd gate simulate`: what a policy would detect, and how soon, before it ever guards a deploy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, track
from rich.table import Table

from healthd.commands.options import Seconds, config_option, json_option
from healthd.commands.terminal import echo, terminal
from healthd.commands.values import Number, WholeNumber
from healthd.units import parse_ratio
from healthd_gates.commands.ramp_table import after, print_ramps, share_of
from healthd_gates.commands.settings import policy_of, settings_of
from healthd_gates.config.policy import Policy
from healthd_gates.engine.ramp_simulation import RampForecast, forecast_ramp
from healthd_gates.judge.explain import percent
from healthd_gates.judge.rules import Rules
from healthd_gates.judge.simulated_traffic import CHANGES, Change, Traffic
from healthd_gates.judge.simulation import Forecast, forecast

_CHANGES = (*CHANGES, Change("outage", errors=1e9))
_RAMP_CHANGES = (*_CHANGES, Change("answers nobody", answers=False))
_RUNS, _RAMP_RUNS = 100, 20
_ACTION = 5.0  # seconds


def _ratio(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
    try:
        return float(parse_ratio(value))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("policy", required=False)
@click.option("--policy", "named", metavar="NAME", help="The policy, in place of POLICY.  [default: post-switch]")
@click.option(
    "--rate",
    required=True,
    type=Number(min=0, min_open=True),
    help="Requests/s to the candidate; to both versions together under a policy with a ramp.",
)
@click.option("--baseline-rate", type=Number(min=0), help="To the baseline, where the policy compares: as many.")
@click.option("--errors", default="1%", show_default=True, callback=_ratio, help="Errors of a healthy version.")
@click.option(
    "--latency", default="200ms", show_default=True, type=Seconds(needs_unit=True), help="Its median latency."
)
@click.option("--action", type=Seconds(), help="With a ramp, how long a change of weight takes.  [default: 5s]")
@click.option("--runs", type=WholeNumber(10, 100_000), help="Gates for each line.  [default: 100, and 20 with a ramp]")
@click.option(
    "--seed", default=1, show_default=True, type=WholeNumber(min=0), help="The same seed gives the same numbers."
)
@config_option
@json_option
def simulate(
    policy: str | None,
    named: str | None,
    rate: float,
    baseline_rate: float | None,
    errors: float,
    latency: float,
    action: float | None,
    runs: int | None,
    seed: int,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Simulate what a policy would see, and how soon.

    At this rate of traffic, how soon would POLICY see twice or five times the errors, slower answers or an outage, and
    how often would it roll back a healthy release? Under a policy with a ramp it says as well how many requests each
    harms, and how long a healthy release takes to have all of the traffic.

    POLICY is one of the configuration or one that ships: post-switch, canary, analysis, batch. The judge is the real
    one, the traffic is drawn; checks, smoke requests and criteria with numbers of their own are taken to hold. No
    daemon is asked.

    \b
    healthd gate simulate canary --rate 50 --errors 0.5%
    """
    if policy is not None and named is not None:
        raise click.UsageError("name the policy once: as POLICY or by --policy")
    policy = policy or named or "post-switch"
    chosen = policy_of(settings_of(config_file), policy, config_file)
    if chosen.ramp is None and action is not None:
        raise click.UsageError(f"--action says how long a change of weight takes, and policy {policy} has no ramp")
    if chosen.ramp is not None and baseline_rate is not None:
        raise click.UsageError(f"--baseline-rate: policy {policy} has a ramp: give with --rate the requests of both")
    if baseline_rate is None:
        baseline_rate = rate if chosen.needs_baseline else 0.0
    try:
        traffic = Traffic(0.0, rate, errors, latency) if chosen.ramp else Traffic(rate, baseline_rate, errors, latency)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if chosen.ramp is not None:
        rows = list(_ramp_forecasts(chosen, traffic, action or _ACTION, runs or _RAMP_RUNS, seed, quiet=as_json))
        if as_json:
            _print_json(policy, traffic, rows)
        else:
            print_ramps(policy, chosen, traffic, rows)
        return
    rules = chosen.verdict_rules()
    forecasts = list(_forecasts(rules, traffic, runs or _RUNS, seed, quiet=as_json))
    if as_json:
        _print_json(policy, traffic, forecasts)
    else:
        _print(policy, rules, traffic, forecasts)


def _forecasts(rules: Rules, traffic: Traffic, runs: int, seed: int, *, quiet: bool) -> Iterator[Forecast]:
    console = _progress_on(len(_CHANGES), runs, quiet=quiet)
    for change in track(_CHANGES, "simulating", console=console, transient=True):
        yield from forecast(rules, traffic, [change], runs=runs, seed=seed)


def _progress_on(kinds: int, runs: int, *, quiet: bool) -> Console:
    """Return the console that shows how far it is. Where nobody watches a terminal, one line says what begins."""
    console = terminal(stderr=True, quiet=quiet)
    if not console.is_terminal and not quiet:
        click.echo(f"simulating {runs:,} gates of each of {kinds} kinds of release, then the table follows", err=True)
        console.quiet = True
    return console


def _ramp_forecasts(
    policy: Policy, traffic: Traffic, action: float, runs: int, seed: int, *, quiet: bool
) -> Iterator[RampForecast]:
    with Progress(console=_progress_on(len(_RAMP_CHANGES), runs, quiet=quiet), transient=True) as progress:
        task = progress.add_task("simulating", total=len(_RAMP_CHANGES) * runs)
        for place, change in enumerate(_RAMP_CHANGES, 1):
            progress.update(task, description=f"simulating {change.name}")
            ran = partial(progress.advance, task)  # a gate at little traffic takes long: each is shown
            yield from forecast_ramp(policy, traffic, [change], action=action, runs=runs, seed=seed, ran=ran)
            progress.update(task, completed=place * runs)


def _print_json(policy: str, traffic: Traffic, rows: Sequence[Forecast | RampForecast]) -> None:
    document = {"policy": policy, "traffic": asdict(traffic), "forecasts": list(map(asdict, rows))}
    click.echo(json.dumps(document, indent=2))


def _print(policy: str, rules: Rules, traffic: Traffic, forecasts: list[Forecast]) -> None:
    console = terminal()
    beside = f" beside {traffic.baseline:g}" if traffic.baseline else ""
    echo(console, f"{policy} at {traffic.candidate:g} requests/s{beside}, {forecasts[0].runs} simulated gates a line")
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("release", no_wrap=True)
    for title in ("rolled back", "half by", "9 in 10 by", "passed", "half by", "undecided"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in forecasts:
        table.add_row(
            row.change.name,
            share_of(row.failed),
            after(row.failed_median),
            after(row.failed_90),
            share_of(row.passed),
            after(row.passed_median),
            share_of(row.inconclusive),
        )
    echo(console, table)
    healthy = forecasts[0]
    echo(
        console,
        f"Of healthy releases the policy promises to roll back at most {percent(rules.risk.false_rollback)}; "
        f"{share_of(healthy.failed)} were here, which speaks for at most {percent(healthy.failed_at_most)}.",
    )
