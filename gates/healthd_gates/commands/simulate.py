"""`healthd gate simulate`: what a policy would detect, and how soon, before it ever guards a deploy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click
from rich.progress import track
from rich.table import Table

from healthd.commands.options import config_option, json_option
from healthd.commands.terminal import echo, terminal
from healthd.units import parse_duration, parse_ratio, show_duration
from healthd_gates.commands.settings import policy_of, settings_of
from healthd_gates.judge.explain import percent
from healthd_gates.judge.rules import Rules
from healthd_gates.judge.simulation import CHANGES, Change, Forecast, Traffic, forecast

_CHANGES = (*CHANGES, Change("outage", errors=1e9))


def _ratio(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
    try:
        return float(parse_ratio(value))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _seconds(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
    try:
        return float(parse_duration(value))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("policy", default="post-switch")
@click.option("--rate", required=True, type=click.FloatRange(min=0, min_open=True), help="Requests/s to the candidate.")
@click.option(
    "--baseline-rate", type=click.FloatRange(min=0), help="To the baseline, where the policy compares: as many."
)
@click.option("--errors", default="1%", show_default=True, callback=_ratio, help="Errors of a healthy version.")
@click.option("--latency", default="200ms", show_default=True, callback=_seconds, help="Its median latency.")
@click.option("--runs", default=100, show_default=True, type=click.IntRange(10, 100_000), help="Gates for each line.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same numbers.")
@config_option
@json_option
def simulate(
    policy: str,
    rate: float,
    baseline_rate: float | None,
    errors: float,
    latency: float,
    runs: int,
    seed: int,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Simulate what a policy would see, and how soon.

    At this rate of traffic, how soon would POLICY see twice or five times the errors, slower answers or an outage, and
    how often would it roll back a healthy release?

    POLICY is one of the configuration or one that ships: post-switch, canary, analysis, batch. The judge is the real
    one, the traffic is drawn; checks, smoke requests and criteria with numbers of their own are taken to hold. No
    daemon is asked.

    \b
    healthd gate simulate canary --rate 50 --errors 0.5%
    """
    chosen = policy_of(settings_of(config_file), policy)
    if baseline_rate is None:
        baseline_rate = rate if chosen.needs_baseline else 0.0
    try:
        traffic = Traffic(rate, baseline_rate, errors, latency)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    rules = chosen.verdict_rules()
    forecasts = list(_forecasts(rules, traffic, runs, seed, quiet=as_json))
    if as_json:
        document = {"policy": policy, "traffic": asdict(traffic), "forecasts": list(map(asdict, forecasts))}
        click.echo(json.dumps(document, indent=2))
    else:
        _print(policy, rules, traffic, forecasts)
        if chosen.ramp is not None:
            echo(terminal(), "The ramp is left out: the candidate is taken to have these requests from the start.")


def _forecasts(rules: Rules, traffic: Traffic, runs: int, seed: int, *, quiet: bool) -> Iterator[Forecast]:
    console = terminal(stderr=True, quiet=quiet)
    for change in track(_CHANGES, "simulating", console=console, transient=True):
        yield from forecast(rules, traffic, [change], runs=runs, seed=seed)


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
            _share(row.failed),
            _after(row.failed_median),
            _after(row.failed_90),
            _share(row.passed),
            _after(row.passed_median),
            _share(row.inconclusive),
        )
    echo(console, table)
    healthy = forecasts[0]
    echo(
        console,
        f"Of healthy releases the policy promises to roll back at most {percent(rules.risk.false_rollback)}; "
        f"{_share(healthy.failed)} were here, which speaks for at most {percent(healthy.failed_at_most)}.",
    )


def _share(share: float) -> str:
    return f"{100 * share:.3g} %"


def _after(seconds: float | None) -> str:
    return "–" if seconds is None else show_duration(round(seconds))
