"""What it costs to read a hook that has many deploys: a daemon of hundreds of services starts as others do."""

import sys

from healthd_gates.config.hooks.argo_rollouts import ArgoRolloutsConfig


def calls_for(deploys: int) -> int:
    """Calls of functions until every deploy of a hook is known with its key."""
    rollouts = {f"shop/api-{n}": {"service": f"api-{n}"} for n in range(deploys)}
    hook = ArgoRolloutsConfig.model_validate({"kind": "argo_rollouts", "rollouts": rollouts})
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        found = list(hook.entries())
    finally:
        sys.setprofile(None)
    assert [(key, deploys.service) for key, deploys in found] == [
        (("rollouts", f"shop/api-{n}"), f"api-{n}") for n in range(deploys)
    ]
    return calls


def test_it_grows_with_their_number_alone() -> None:
    assert calls_for(200) < 3 * calls_for(100)
