"""The kinds of action. A new one is a file here, a line in the registry, a test and a paragraph in the docs."""

from __future__ import annotations

from importlib import import_module

from healthd_gates.actions.contract import Action

# Loaded by name, so that an SDK is imported only when an action that needs it is configured.
KINDS: dict[str, str] = {
    "aws_elbv2": "healthd_gates.actions.aws_elbv2:AwsElbv2",
    "command": "healthd_gates.actions.command:Command",
    "kubernetes": "healthd_gates.actions.kubernetes.action:Kubernetes",
    "webhook": "healthd_gates.actions.webhook:Webhook",
}


class UnknownKindError(LookupError):
    """No action has this kind."""


def find_kind(kind: str) -> type[Action]:
    """The class of a kind. Raises UnknownKindError, or ImportError when an extra is not installed."""
    try:
        module, _, name = KINDS[kind].partition(":")
    except KeyError:
        raise UnknownKindError(kind) from None
    return getattr(import_module(module), name)  # type: ignore[no-any-return]
