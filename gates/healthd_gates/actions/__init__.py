"""The kinds of action. To add one: a file here, a line in the registry, a test and a paragraph in the docs."""

from __future__ import annotations

from healthd.registry import Registry
from healthd_gates.actions.contract import Action, ActionConfig

# Loaded by name, so that an SDK is imported only when an action that needs it is configured.
KINDS: dict[str, str] = {
    "aws_elbv2": "healthd_gates.actions.aws_elbv2:AwsElbv2",
    "command": "healthd_gates.actions.command:Command",
    "haproxy": "healthd_gates.actions.haproxy:HAProxy",
    "kubernetes": "healthd_gates.actions.kubernetes.action:Kubernetes",
    "traefik": "healthd_gates.actions.traefik:Traefik",
    "webhook": "healthd_gates.actions.webhook:Webhook",
}


ACTIONS: Registry[Action] = Registry("action", "healthd.actions", KINDS, ActionConfig, ("execute", "describe", "close"))


def find_kind(kind: str) -> type[Action]:
    """Return the class of a kind. Raises UnknownKindError, or ImportError when it cannot be loaded."""
    return ACTIONS.find(kind)
