"""Finds labels of a request that nothing reads, such as misspelt ones. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from healthd.nearest import nearest
from healthd_gates.config.policy import Policy
from healthd_gates.config.service import Service
from healthd_gates.domain.request import VerifyRequest

_PLACEHOLDER = re.compile(r"\$\{?([a-zA-Z_][a-zA-Z0-9_]*)")
_ARMS = {"version", "target"}


def unread_labels(
    request: VerifyRequest, policy: Policy, service: Service, actions: Mapping[str, object]
) -> Iterator[str]:
    """Yield a note for each label of the request that is like one that a selector of the service, the policy or an
    action reads, and is none of them: others may be for people."""
    selectors = [getattr(action, "selector", None) for action in actions.values()]
    read = {*_ARMS, *_PLACEHOLDER.findall(repr((service, policy, selectors)))}
    arms = (request.candidate, request.baseline)
    for label in dict.fromkeys(label for arm in arms if arm is not None for label in arm.labels):
        if label not in read and (meant := nearest(label, read)) is not None:
            cure = f"--label {meant}=…" if meant not in _ARMS else f"that is no label: healthd fills in ${meant} itself"
            yield f"nothing reads the label {label}; did you mean {meant}? ({cure})"
