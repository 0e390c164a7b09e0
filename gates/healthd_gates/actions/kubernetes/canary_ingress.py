"""Divides requests by a canary Ingress of ingress-nginx, its annotations `canary-weight` and `canary-weight-total`.

Pure. The canary's Service gets that part, and the Service of the main Ingress the rest; which of the two is the
candidate changes from release to release (ingress-nginx, internal/ingress/annotations/canary).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from healthd.kubernetes.api import Object, Patch
from healthd_gates.actions.contract import ActionResult, Ending
from healthd_gates.actions.kubernetes.move import Move
from healthd_gates.actions.kubernetes.route import Split

_CANARY = "nginx.ingress.kubernetes.io/canary"
_WEIGHT, _TOTAL = f"{_CANARY}-weight", f"{_CANARY}-weight-total"
_USUAL_TOTAL = 100


def divide(ingress: Object, path: str, split: Split) -> ActionResult | Move:
    """Return the change that gives the canary its part, or done if it has that."""
    if (parts := split.weights) is None:
        return split.too_small
    annotations: Mapping[str, Any] = ingress["metadata"].get("annotations") or {}
    if annotations.get(_CANARY) != "true":
        return ActionResult(Ending.REFUSED, f"it is no canary: the annotation {_CANARY} is not true")
    served = _services(ingress)
    if len(served) != 1 or not served <= {split.candidate, split.baseline}:
        shown = ", ".join(sorted(served)) or "no Service"
        says = f"it leads to {shown}, and should lead to one of {split.candidate} and {split.baseline}"
        return ActionResult(Ending.REFUSED, says)
    candidate, baseline = parts
    weight, total = candidate if served == {split.candidate} else baseline, candidate + baseline
    if _is_so(annotations, weight, total):
        return ActionResult(Ending.DONE, "nothing to do: it has that weight already")
    body = {
        "metadata": {
            "resourceVersion": ingress["metadata"]["resourceVersion"],
            "annotations": {_WEIGHT: str(weight), _TOTAL: str(total)},
        }
    }
    says = f"send {100 * candidate / total:.4g} % to {split.candidate}, the rest to {split.baseline}"
    return Move(Patch(path, "merge", body), says)


def largest_shares(ingress: Object, one: str, other: str) -> dict[str, float]:
    """Return the share of the requests, from 0 to 1, that each of two Services has: none, where the canary leads to
    neither."""
    weight, total = _weight(ingress["metadata"].get("annotations") or {}) or (0, _USUAL_TOTAL)
    share = min(1.0, weight / total) if total > 0 else 0.0
    served = _services(ingress)
    return {name: share if served == {name} else 1.0 - share for name in (one, other) if served <= {one, other}}


def _is_so(annotations: Mapping[str, Any], weight: int, total: int) -> bool:
    now = _weight(annotations)
    return now is not None and now[0] * total == weight * now[1]


def _weight(annotations: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the canary's weight and the total; None for what is no number."""
    try:
        return int(annotations.get(_WEIGHT, "0")), int(annotations.get(_TOTAL) or _USUAL_TOTAL)
    except ValueError:
        return None


def _services(ingress: Object) -> set[str]:
    """Return the Services that it leads to."""
    spec = ingress.get("spec") or {}
    paths = [path for rule in spec.get("rules") or () for path in (rule.get("http") or {}).get("paths") or ()]
    backends = [path.get("backend") or {} for path in paths] + [spec.get("defaultBackend") or {}]
    return {str(backend["service"]["name"]) for backend in backends if backend.get("service")}
