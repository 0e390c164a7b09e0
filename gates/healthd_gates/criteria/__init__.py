"""The kinds of criterion. To add one: a file here, a line in the registry, a test and a paragraph in the docs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from healthd.registry import Registry, SchemaOfKinds
from healthd_gates.criteria.contract import CriterionConfig

# Loaded by name, so that a daemon loads only those that its policies have.
KINDS = {
    "checks": "healthd_gates.criteria.checks:Checks",
    "error_rate": "healthd_gates.criteria.error_rate:ErrorRate",
    "latency": "healthd_gates.criteria.latency:Latency",
    "mean_latency": "healthd_gates.criteria.mean_latency:MeanLatency",
    "rate": "healthd_gates.criteria.rate:Rate",
    "ratio": "healthd_gates.criteria.ratio:Ratio",
    "smoke": "healthd_gates.criteria.smoke:Smoke",
    "value": "healthd_gates.criteria.value:Value",
}
CRITERIA: Registry[CriterionConfig] = Registry("criterion", "healthd.criteria", KINDS, CriterionConfig, ())


def _build_config(raw: Any) -> CriterionConfig:
    return raw if isinstance(raw, CriterionConfig) else CRITERIA.model_of(raw).model_validate(raw)


AnyCriterion = Annotated[SerializeAsAny[CriterionConfig], BeforeValidator(_build_config), SchemaOfKinds(CRITERIA)]
"""An entry of a policy's `criteria:` as the model of its kind."""
