"""Places of an AWS load balancer that forward: a listener by its default action, and a rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from healthd_gates.actions.alb_forwarding import Action


@dataclass(frozen=True, slots=True)
class ForwardingPlace:
    """One listener or rule. `client` is one of the SDK's for `elbv2`; its errors are raised as they are."""

    arn: str

    @property
    def is_rule(self) -> bool:
        return ":listener-rule/" in self.arn

    @property
    def name(self) -> str:
        """Name for people: the kind, and the last part of the ARN."""
        return f"{'rule' if self.is_rule else 'listener'} {self.arn.rsplit('/', 1)[-1]}"

    async def actions(self, client: Any) -> Sequence[Action]:
        """Return the actions in force."""
        if self.is_rule:
            answer = await client.describe_rules(RuleArns=[self.arn])
            return answer["Rules"][0]["Actions"]  # type: ignore[no-any-return]
        answer = await client.describe_listeners(ListenerArns=[self.arn])
        return answer["Listeners"][0]["DefaultActions"]  # type: ignore[no-any-return]

    async def forward(self, client: Any, actions: Sequence[Action]) -> Sequence[Action]:
        """Set the actions, and return those that are in force then."""
        if self.is_rule:
            answer = await client.modify_rule(RuleArn=self.arn, Actions=actions)
            return answer["Rules"][0]["Actions"]  # type: ignore[no-any-return]
        answer = await client.modify_listener(ListenerArn=self.arn, DefaultActions=actions)
        return answer["Listeners"][0]["DefaultActions"]  # type: ignore[no-any-return]
