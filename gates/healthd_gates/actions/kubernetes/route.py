"""Divides the requests of an HTTPRoute (Gateway API) between the Services of two versions, by the weights of its
`backendRefs`. Pure.

A weight is a part of the sum of its rule, at most 1,000,000, and 1 where none is given; a rule with one backend sends
it everything (gateway-api, apis/v1: BackendRef). Controllers tell by `status.parents` which generation they have seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from healthd.kubernetes.api import Object, Patch
from healthd_gates.actions.contract import ActionResult, Ending
from healthd_gates.actions.kubernetes.move import Move, Waiting

_ALL = 100
_COARSE, _FINE = 1000, 10_000  # parts in which a share is given: Google's load balancers take weights up to 1000
_FINE_BELOW = 0.01


@dataclass(frozen=True, slots=True)
class Split:
    """The Services of two versions, and the candidate's share of their requests, from 0 to 1."""

    candidate: str
    baseline: str
    share: float

    @property
    def weights(self) -> tuple[int, int] | None:
        """The weights of candidate and baseline: the largest share that is not above this one; None for one that is
        above 0 and below the smallest."""
        if self.share >= 1.0:
            return _ALL, 0
        if self.share <= 0.0:
            return 0, _ALL
        parts = _FINE if self.share < _FINE_BELOW else _COARSE
        part = int(self.share * parts + 1e-9)
        return (part, parts - part) if part else None

    @property
    def too_small(self) -> ActionResult:
        """The outcome for a share that cannot be given."""
        says = f"a share of {self.share:.4%} is less than the smallest, {1 / _FINE:.2%}: give the ramp more budget"
        return ActionResult(Ending.REFUSED, says)

    def __str__(self) -> str:
        return f"{self.share:.4g} of the requests to {self.candidate}, the rest to {self.baseline}"


def divide(route: Object, path: str, split: Split) -> ActionResult | Move | None:
    """Return the change that divides every rule that has both Services, None if they are divided so."""
    if (wanted := split.weights) is None:
        return split.too_small
    operations: list[Mapping[str, Any]] = []
    rules = list(_rules(route, split))
    if not rules:
        return ActionResult(Ending.REFUSED, f"no rule of it has both {split.candidate} and {split.baseline}")
    for number, refs, candidate, baseline in rules:
        if others := [_shown(ref) for place, ref in enumerate(refs) if place not in (candidate, baseline) and _w(ref)]:
            return ActionResult(Ending.REFUSED, f"its rule {number} sends requests to {', '.join(others)} as well")
        if not _is_so((_w(refs[candidate]), _w(refs[baseline])), wanted):
            for place, weight in zip((candidate, baseline), wanted, strict=True):
                where = f"/spec/rules/{number}/backendRefs/{place}/weight"
                operations.append({"op": "add", "path": where, "value": weight})
    if not operations:
        return None
    version = {"op": "test", "path": "/metadata/resourceVersion", "value": route["metadata"]["resourceVersion"]}
    says = f"send {100 * wanted[0] / sum(wanted):.4g} % to {split.candidate}, the rest to {split.baseline}"
    return Move(Patch(path, "json", [version, *operations]), says)


def largest_shares(route: Object, one: str, other: str) -> dict[str, float]:
    """Return the largest share of the requests, from 0 to 1, that each of two Services has in a rule with both."""
    found = dict.fromkeys((one, other), 0.0)
    for _, refs, *pair in _rules(route, Split(one, other, 0.0)):
        if total := sum(map(_w, refs)):
            for place in pair:
                name = refs[place]["name"]
                found[name] = max(found[name], _w(refs[place]) / total)
    return found


def taken_up(route: Object) -> ActionResult | Waiting:
    """Return done once a controller has accepted the newest generation of the route."""
    parents = (route.get("status") or {}).get("parents") or ()
    problems = [_problem(parent, route["metadata"].get("generation", 0)) for parent in parents]
    if problems and not all(problems):
        return ActionResult(Ending.DONE, "nothing to do: it divides the requests so already")
    return Waiting(next((problem for problem in problems if problem), "no Gateway has taken it"))


def unresolved(route: Object) -> str | None:
    """Return why a controller cannot find a backend: it answers 500 for its requests."""
    for parent in (route.get("status") or {}).get("parents") or ():
        for condition in parent.get("conditions") or ():
            if condition.get("type") == "ResolvedRefs" and condition.get("status") == "False":
                return f"{_controller(parent)} does not find its backends: {_reason(condition)}"
    return None


def _rules(route: Object, split: Split) -> Iterator[tuple[int, Sequence[Mapping[str, Any]], int, int]]:
    """Yield the rules that have both Services: their numbers, their backends, and which of them are the two."""
    namespace = route["metadata"].get("namespace")
    for number, rule in enumerate(route["spec"].get("rules") or ()):
        refs = rule.get("backendRefs") or ()
        names = {ref["name"]: place for place, ref in enumerate(refs) if _is_service(ref, namespace)}
        if split.candidate in names and split.baseline in names:
            yield number, refs, names[split.candidate], names[split.baseline]


def _is_service(ref: Mapping[str, Any], namespace: str | None) -> bool:
    kind = (ref.get("group") or "", ref.get("kind") or "Service")
    return kind == ("", "Service") and ref.get("namespace", namespace) == namespace


def _is_so(found: tuple[int, int], wanted: tuple[int, int]) -> bool:
    return sum(found) > 0 and found[0] * sum(wanted) == wanted[0] * sum(found)


def _w(ref: Mapping[str, Any]) -> int:
    weight = ref.get("weight")
    return 1 if weight is None else int(weight)


def _shown(ref: Mapping[str, Any]) -> str:
    return f"{ref.get('namespace') or ''}{'/' if ref.get('namespace') else ''}{ref['name']}"


def _problem(parent: Mapping[str, Any], generation: int) -> str | None:
    """Return what is missing before a Gateway divides the requests by this generation."""
    accepted = next((each for each in parent.get("conditions") or () if each.get("type") == "Accepted"), None)
    if accepted is None or (accepted.get("observedGeneration") or generation) < generation:
        return f"{_controller(parent)} has not seen it yet"
    return None if accepted.get("status") == "True" else f"{_controller(parent)} refuses it: {_reason(accepted)}"


def _controller(parent: Mapping[str, Any]) -> str:
    return str(parent.get("controllerName") or "a controller")


def _reason(condition: Mapping[str, Any]) -> str:
    return str(condition.get("message") or condition.get("reason") or "no reason given")
