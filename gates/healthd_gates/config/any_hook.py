"""Reads an entry of `hooks:` as the model of its kind."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, SerializeAsAny, WrapValidator

from healthd_gates.config.github_hook import GitHubConfig
from healthd_gates.config.hooks import (
    ArgoRolloutsConfig,
    CodeDeployConfig,
    DatadogConfig,
    EcsConfig,
    FlaggerConfig,
    HookConfig,
    SpinnakerConfig,
)

KINDS: dict[str, type[HookConfig]] = {
    "argo_rollouts": ArgoRolloutsConfig,
    "codedeploy": CodeDeployConfig,
    "datadog": DatadogConfig,
    "ecs": EcsConfig,
    "flagger": FlaggerConfig,
    "github": GitHubConfig,
    "spinnaker": SpinnakerConfig,
}


def _build_config(raw: Any) -> HookConfig:
    if isinstance(raw, HookConfig):
        return raw
    if not isinstance(raw, dict) or raw.get("kind") not in KINDS:
        raise ValueError(f"a hook needs a kind, one of: {', '.join(KINDS)}")
    return KINDS[raw["kind"]].model_validate(raw)


# What is named here is what the schema and the reference show; what counts is the registry.
_BuiltIn = Annotated[
    ArgoRolloutsConfig | CodeDeployConfig | DatadogConfig | EcsConfig | FlaggerConfig | GitHubConfig | SpinnakerConfig,
    Field(discriminator="kind"),
]
AnyHook = Annotated[SerializeAsAny[_BuiltIn], WrapValidator(lambda raw, _: _build_config(raw))]
"""An entry of `hooks:` in the configuration as the model of its kind."""
