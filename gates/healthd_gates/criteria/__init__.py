"""The kinds of criterion. To add one: a file here, a line in the registry, a test and a paragraph in the docs."""

from __future__ import annotations

from typing import Annotated, Any, Union

from pydantic import Field, SerializeAsAny, WrapValidator

from healthd.registry import Registry, SchemaOfKinds
from healthd_gates.criteria.contract import CriterionConfig

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


# The union is for the generated reference; the registry decides which kinds exist.
_MODELS = tuple(CRITERIA.find(kind) for kind in KINDS)
_BuiltIn: Any = Annotated[Union[_MODELS], Field(discriminator="kind")]  # noqa: UP007
AnyCriterion = Annotated[
    SerializeAsAny[_BuiltIn], WrapValidator(lambda raw, _: _build_config(raw)), SchemaOfKinds(CRITERIA)
]
"""An entry of a policy's `criteria:` as the model of its kind."""
