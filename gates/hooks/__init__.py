"""The dialects of other deploy tools. A new one is a file here, its lines in the registry and the union, a test and a
section in the docs.
"""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

from pydantic import Field, SerializeAsAny, WrapValidator

from gates.hooks.argo_rollouts import ArgoRolloutsConfig
from gates.hooks.codedeploy import CodeDeployConfig
from gates.hooks.contract import Dialect, HookConfig
from gates.hooks.datadog import DatadogConfig
from gates.hooks.ecs import EcsConfig
from gates.hooks.flagger import FlaggerConfig
from gates.hooks.github.config import GitHubConfig
from gates.hooks.spinnaker import SpinnakerConfig

KINDS = {
    "argo_rollouts": "gates.hooks.argo_rollouts:ArgoRollouts",
    "codedeploy": "gates.hooks.codedeploy:CodeDeployHook",
    "datadog": "gates.hooks.datadog:Datadog",
    "ecs": "gates.hooks.ecs:Ecs",
    "flagger": "gates.hooks.flagger:Flagger",
    "github": "gates.hooks.github.webhook:GitHubWebhook",
    "spinnaker": "gates.hooks.spinnaker:Spinnaker",
}


def find_kind(kind: str) -> type[Dialect]:
    """The class of a kind. Raises KeyError."""
    module, _, name = KINDS[kind].partition(":")
    return getattr(import_module(module), name)  # type: ignore[no-any-return]


def _build_config(raw: Any) -> HookConfig:
    if isinstance(raw, HookConfig):
        return raw
    if not isinstance(raw, dict) or raw.get("kind") not in KINDS:
        raise ValueError(f"a hook needs a kind, one of: {', '.join(KINDS)}")
    return find_kind(raw["kind"]).config_model.model_validate(raw)


# What is named here is what the schema and the reference show; what counts is the registry.
_BuiltIn = Annotated[
    ArgoRolloutsConfig | CodeDeployConfig | DatadogConfig | EcsConfig | FlaggerConfig | GitHubConfig | SpinnakerConfig,
    Field(discriminator="kind"),
]
AnyHook = Annotated[SerializeAsAny[_BuiltIn], WrapValidator(lambda raw, _: _build_config(raw))]
"""An entry of `hooks:` in the configuration as the model of its kind."""
