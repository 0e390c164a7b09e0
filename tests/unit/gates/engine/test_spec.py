"""What a gate goes by."""

import pytest

from healthd_gates.config.settings import Config
from healthd_gates.engine.spec import GateSpec

ARN = "arn:aws:elasticloadbalancing:eu-west-1:123456789012"
SOURCES = {
    "push": ({"kind": "push"}, 60.0),
    "push-rarely": ({"kind": "push", "silent_after": "5m"}, 300.0),
    "cloudwatch": (
        {
            "kind": "cloudwatch",
            "load_balancer": f"{ARN}:loadbalancer/app/alb/50dc6c495c0c9188",
            "target_groups": {"green": f"{ARN}:targetgroup/green/943f017f100becff"},
        },
        360.0,
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_how_late_numbers_may_come_is_the_sources_to_say(name: str) -> None:
    """For the verdict and for the watch; a minute where it says nothing."""
    source, lateness = SOURCES[name]
    config = Config.model_validate({"services": {"api": {"source": source}}})
    plan = GateSpec(config.policies["post-switch"], config.services["api"])
    assert plan.verdict_rules.timing.lateness == lateness
    assert plan.watch_rules.timing.lateness == lateness


def test_a_service_that_is_gone_has_no_say() -> None:
    """Its gate still has its rules."""
    policy = Config().policies["post-switch"]
    assert GateSpec(policy, None).verdict_rules == policy.verdict_rules()
