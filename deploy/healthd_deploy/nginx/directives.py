"""Directives of the file that NGINX includes, for a state of the traffic."""

from __future__ import annotations

from dataclasses import replace
from math import gcd

from healthd_deploy.nginx.settings import Upstream
from healthd_deploy.nginx.state import State, mark

_ALL = 10_000  # of a weight: hundredths of a percent


def with_share(config: Upstream, known: State, target: str, weight: float) -> State:
    """Return the state in which a target has so many percent of the traffic. A part of it leaves the live target what
    it is: it is the one to go back to."""
    if weight in (0.0, 100.0):
        return replace(known, live=target if weight else config.beside(target), other=0.0)
    return replace(known, other=weight if target != known.live else 100.0 - weight)


def written(config: Upstream, state: State) -> bytes:
    """Return the file's content for a state."""
    inside = [f"server {server};" for server in config.targets[state.live]]
    if state.other:
        inside = _weighted(config, state)
    inside += [f"{option};" for option in config.options]
    body = "".join(f"    {line}\n" for line in inside)
    return f"{mark(state)}\nupstream {config.name} {{\n{body}}}\n".encode()


def _weighted(config: Upstream, state: State) -> list[str]:
    """Return the servers of both targets, with weights that give each target its part whatever their numbers."""
    other = config.beside(state.live)
    parts = {state.live: _ALL - round(state.other * _ALL / 100), other: round(state.other * _ALL / 100)}
    counts = {target: len(config.targets[target]) for target in parts}
    weights = {target: part * counts[config.beside(target)] for target, part in parts.items()}
    common = gcd(*weights.values())
    return [
        f"server {server} weight={weights[target] // common};" for target in parts for server in config.targets[target]
    ]
