"""Reads an entry of `hooks:` as the model of its kind."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from healthd.registry import Registry, SchemaOfKinds
from healthd_gates.config.hooks.contract import HookConfig

# A dialect lies above the configuration and is loaded by name, when a hook of its kind is configured.
KINDS = {
    "argo_rollouts": "healthd_gates.hooks.argo_rollouts:ArgoRollouts",
    "codedeploy": "healthd_gates.hooks.codedeploy:CodeDeployHook",
    "datadog": "healthd_gates.hooks.datadog:Datadog",
    "ecs": "healthd_gates.hooks.ecs:Ecs",
    "flagger": "healthd_gates.hooks.flagger:Flagger",
    "github": "healthd_gates.hooks.github.webhook:GitHubWebhook",
    "spinnaker": "healthd_gates.hooks.spinnaker:Spinnaker",
}
HOOKS: Registry[Any] = Registry("hook", "healthd.hooks", KINDS, HookConfig, ())


def _build_config(raw: Any) -> HookConfig:
    return raw if isinstance(raw, HookConfig) else HOOKS.model_of(raw).model_validate(raw)


AnyHook = Annotated[SerializeAsAny[HookConfig], BeforeValidator(_build_config), SchemaOfKinds(HOOKS)]
"""An entry of `hooks:` in the configuration as the model of its kind."""
