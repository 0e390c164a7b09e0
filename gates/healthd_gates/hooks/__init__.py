"""The dialects of other deploy tools. A new one is a file here, its options in `config.hooks`, its lines in both
registries, a test and a section in the docs.
"""

from __future__ import annotations

from importlib import import_module

from healthd_gates.hooks.dialect import Dialect

KINDS = {
    "argo_rollouts": "healthd_gates.hooks.argo_rollouts:ArgoRollouts",
    "codedeploy": "healthd_gates.hooks.codedeploy:CodeDeployHook",
    "datadog": "healthd_gates.hooks.datadog:Datadog",
    "ecs": "healthd_gates.hooks.ecs:Ecs",
    "flagger": "healthd_gates.hooks.flagger:Flagger",
    "github": "healthd_gates.hooks.github.webhook:GitHubWebhook",
    "spinnaker": "healthd_gates.hooks.spinnaker:Spinnaker",
}


def find_kind(kind: str) -> type[Dialect]:
    """The class of a kind. Raises KeyError."""
    module, _, name = KINDS[kind].partition(":")
    return getattr(import_module(module), name)  # type: ignore[no-any-return]
