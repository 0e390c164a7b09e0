"""python -m bench.behind [--runs N] [--seed N] [--traffic N]

How many requests a bad release harms behind Flagger and behind Argo Rollouts: under the tool's own rule, and under a
gate that it asks. Both meet the same traffic, second by second, at the weight that the tool sets; nothing else runs.
The counts are read without delay, as by healthd's source `scrape`; those of Prometheus are as late as its scrapes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import mean

import numpy as np

from healthd_gates.config.builtin_policies import SHIPPED
from healthd_gates.config.policy import Policy
from healthd_gates.domain.evidence import Counts, Evidence
from healthd_gates.domain.standing import Verdict
from healthd_gates.hooks.flagger import allows_more
from healthd_gates.judge.judge import Judge

_START = datetime(2026, 1, 1, tzinfo=UTC)
_HORIZON = 600
_LIMIT = 0.05


def shipped(name: str) -> Policy:
    """Return a shipped policy without its latencies, of which these streams have none."""
    return Policy.model_validate({**SHIPPED[name], "criteria": SHIPPED[name]["criteria"][:1]})


@dataclass
class Traffic:
    """Requests a second of both arms; `bad` is the share of the candidate's that fail, second by second."""

    rng: np.random.Generator
    whole: int
    bad: Callable[[int], float]
    base: float
    n: list[int] = field(default_factory=list)
    x: list[int] = field(default_factory=list)
    m: list[int] = field(default_factory=list)
    y: list[int] = field(default_factory=list)

    def flow(self, weight: float) -> None:
        """Send one second's requests."""
        at, draw = len(self.n), self.rng
        n, m = int(draw.poisson(self.whole * weight)), int(draw.poisson(self.whole * (1 - weight)))
        for kept, count in zip(
            (self.n, self.x, self.m, self.y),
            (n, int(draw.binomial(n, self.bad(at))), m, int(draw.binomial(m, self.base))),
            strict=True,
        ):
            kept.append(count)

    def failed_share(self, seconds: int) -> float | None:
        """Return the candidate's error rate over the last seconds; None without a request."""
        requests = sum(self.n[-seconds:])
        return sum(self.x[-seconds:]) / requests if requests else None


class Gate:
    """A gate that looks at the traffic as its policy says, from the moment at which the tool asks first."""

    def __init__(self, policy: Policy, traffic: Traffic) -> None:
        self._judge, self._traffic, self._policy = Judge(policy.verdict_rules()), traffic, policy
        self._begun, self._looked = len(traffic.n), len(traffic.n)
        self.verdict: Verdict | None = None
        self.allows_more = True

    def second(self) -> None:
        """Look, when a look is due."""
        now, every = len(self._traffic.n), round(self._policy.interval)
        if self.verdict is not None or now - self._looked < every:
            return
        part, it = slice(self._looked, now), self._traffic
        self._looked = now
        standing = self._judge.step(
            Evidence(
                _START + timedelta(seconds=now),
                float(every),
                Counts(sum(it.n[part]), sum(it.x[part])),
                Counts(sum(it.m[part]), sum(it.y[part])),
            )
        )
        self.verdict = standing.verdict
        self.allows_more = now - self._begun >= self._policy.initial_delay and allows_more(standing, has_traffic=True)


class Flagger:
    """A canary of steps of 10 % up to 50 %, as its controller advances it: the rollback hook and the threshold come
    before the checks of an interval, and a failed check gives no more weight."""

    threshold = 5

    def __init__(self, traffic: Traffic, interval: int, policy: Policy | None) -> None:
        self._traffic, self._interval = traffic, interval
        self._gate = None if policy is None else Gate(policy, traffic)
        self._failed, self.weight = 0, 0.1
        self.is_over = False

    def second(self) -> None:
        """Advance, when an interval is over."""
        now, gate = len(self._traffic.n), self._gate
        if gate is not None:
            gate.second()
        if now % self._interval:
            return
        if self._failed >= self.threshold or (gate is not None and gate.verdict is Verdict.FAIL):
            self.is_over = True
            return
        if gate is None:
            share = self._traffic.failed_share(max(30, self._interval))
            if share is None or share > 0.01:
                self._failed += 1
                return
        if gate is None or gate.allows_more:
            self.weight = min(0.5, self.weight + 0.1)


class ArgoRollouts:
    """An analysis as a step at 20 %: an AnalysisRun, measured at once and then at every interval. The own rule is a
    ratio over a minute, of which the second failed measurement aborts; there is no series for the first."""

    def __init__(self, traffic: Traffic, interval: int, policy: Policy | None) -> None:
        self._traffic, self._interval = traffic, interval
        self._gate = None if policy is None else Gate(policy, traffic)
        self._failed, self.weight = 0, 0.2
        self.is_over = False

    def second(self) -> None:
        """Measure, when an interval is over."""
        now, gate = len(self._traffic.n), self._gate
        if gate is not None:
            gate.second()
        if now % self._interval:
            return
        if gate is not None:
            self.is_over = gate.verdict is Verdict.FAIL
            return
        share = self._traffic.failed_share(60)
        self._failed += share is not None and share > _LIMIT
        self.is_over = self._failed > 1


_OWN, _GATED = "its own rule", "a gate"
SETUPS: dict[str, dict[str, Callable[[Traffic], Flagger | ArgoRollouts]]] = {
    "Flagger, 10 s": {
        _OWN: lambda traffic: Flagger(traffic, 10, None),
        f"{_GATED}, `canary`": lambda traffic: Flagger(traffic, 10, shipped("canary")),
        f"{_GATED}, `analysis`": lambda traffic: Flagger(traffic, 10, shipped("analysis")),
    },
    "Flagger, 30 s": {
        _OWN: lambda traffic: Flagger(traffic, 30, None),
        f"{_GATED}, `canary`": lambda traffic: Flagger(traffic, 30, shipped("canary")),
        f"{_GATED}, `analysis`": lambda traffic: Flagger(traffic, 30, shipped("analysis")),
    },
    "Argo Rollouts, 10 s": {
        _OWN: lambda traffic: ArgoRollouts(traffic, 10, None),
        f"{_GATED}, `canary`": lambda traffic: ArgoRollouts(traffic, 10, shipped("canary")),
        f"{_GATED}, `analysis`": lambda traffic: ArgoRollouts(traffic, 10, shipped("analysis")),
        f"{_GATED}, `analysis`, asked every 2 s": lambda traffic: ArgoRollouts(traffic, 2, shipped("analysis")),
    },
}
RELEASES: dict[str, Callable[[int], float]] = {
    "30 % errors": lambda at: 0.3,
    "8 % errors": lambda at: 0.08,
    "healthy": lambda at: 0.001,
    "healthy, 5 s of 50 % once": lambda at: 0.5 if 60 <= at < 65 else 0.001,
}


@dataclass(frozen=True)
class Ended:
    """Failed requests of the candidate, and seconds until it had no more traffic; None: it stays."""

    harmed: int
    seconds: int | None


def roll_out(setup: Callable[[Traffic], Flagger | ArgoRollouts], traffic: Traffic) -> Ended:
    """Roll one release out, for ten minutes at most."""
    tool = setup(traffic)
    while len(traffic.n) < _HORIZON:
        traffic.flow(tool.weight)
        tool.second()
        if tool.is_over:
            return Ended(sum(traffic.x), len(traffic.n))
    return Ended(sum(traffic.x), None)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(prog="python -m bench.behind", description=__doc__)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=20261126)
    parser.add_argument("--traffic", type=int, default=100, help="requests/s of both versions together")
    asked = parser.parse_args()
    columns = list(dict.fromkeys(rule for rules in SETUPS.values() for rule in rules))
    print(f"| tool, its interval | release | {' | '.join(columns)} |\n|{' --- |' * (2 + len(columns))}")
    harmless = []
    for (tool, rules), (release, bad) in ((each, other) for each in SETUPS.items() for other in RELEASES.items()):
        found = {
            rule: [
                roll_out(setup, Traffic(np.random.default_rng([asked.seed, run]), asked.traffic, bad, 0.001))
                for run in range(asked.runs)
            ]
            for rule, setup in rules.items()
        }
        if release.startswith("healthy"):
            harmless += [each for rule, ended in found.items() if rule != _OWN for each in ended]
            continue
        own = mean(each.harmed for each in found[_OWN])
        cells = [_cell(found[rule], own, is_own=rule == _OWN) if rule in found else "" for rule in columns]
        print(f"| {tool} | {release} | {' | '.join(cells)} |", flush=True)
    backs = sum(each.seconds is not None for each in harmless)
    print(f"\nHealthy releases that a gate rolled back: {backs} of {len(harmless)}.")


def _cell(ended: Sequence[Ended], own: float, *, is_own: bool) -> str:
    harmed = mean(each.harmed for each in ended)
    backs = [each.seconds for each in ended if each.seconds is not None]
    stays = "" if len(backs) == len(ended) else f", {1 - len(backs) / len(ended):.0%} stay".replace("%", " %")
    after = f", {mean(backs):.0f} s" if backs else ""
    return f"{harmed:,.0f}{after}{stays}" + ("" if is_own else f" ({harmed / own:.2f} ×)")


if __name__ == "__main__":
    main()
