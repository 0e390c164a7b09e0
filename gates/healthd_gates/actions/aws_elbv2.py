"""Action `aws_elbv2`: makes a listener or rule of an AWS load balancer forward to the baseline's target group again,
or a part of the requests to the candidate's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import Field, StringConstraints, model_validator

from healthd.aws.client import new_client
from healthd.aws.region import check_region
from healthd.config.model import Name
from healthd.extras import how_to_get
from healthd.wording import shape
from healthd_gates.actions.alb_forwarding import (
    Action,
    all_at,
    divided,
    is_all_at,
    is_tied,
    parts_of,
    portion,
    reaches,
    shares,
    weights,
)
from healthd_gates.actions.alb_places import ForwardingPlace
from healthd_gates.actions.contract import ActionConfig, ActionContext, ActionRequest, ActionResult, Ending
from healthd_gates.actions.targets import places
from healthd_gates.sources.contract import Arms

_CALL_SECONDS = 10.0
# AWS does not check the targets of a group that nothing forwards to: after a switch those of the baseline are idle.
_IDLE, _NOT_IN_USE = "idle", "Target.NotInUse"
_ABLE = ("healthy", "initial", _IDLE)
_URGENCY = (Ending.RETRY, Ending.REFUSED, Ending.NO_BASELINE, Ending.DONE)
ResultT = TypeVar("ResultT")


def _arn(kind: str, told: str = "") -> StringConstraints:
    return StringConstraints(
        pattern=shape(
            rf"^arn:[a-z-]+:elasticloadbalancing:[a-z0-9-]+:\d{{12}}:{kind}/\S+$", f"the ARN of a {told or kind}"
        )
    )


class ElbConfig(ActionConfig):
    """Credentials are the SDK's own: environment, profile, role. They need `elasticloadbalancing:` DescribeListeners or
    DescribeRules, DescribeTargetHealth, and ModifyListener or ModifyRule."""

    kind: Literal["aws_elbv2"] = "aws_elbv2"
    listener: Annotated[str, _arn("listener")] | None = None
    """The ARN of the listener whose default action forwards."""
    rule: Annotated[str, _arn("listener-rule")] | None = None
    """The ARN of a rule that forwards, instead of a listener."""
    also: tuple[Annotated[str, _arn("listener(-rule)?", "listener or listener-rule")], ...] = ()
    """The ARNs of more listeners and rules that forward to the same target groups, and are moved together with it."""
    target_groups: dict[Name, Annotated[str, _arn("targetgroup")]] = Field(min_length=2)
    """The ARN of the target group of each target."""
    region: str | None = Field(None, pattern=shape(r"^[a-z0-9-]+$", "a region, such as eu-central-1"))
    """The AWS region; that of the ARN unless given."""
    endpoint: str | None = Field(
        None, pattern=shape(r"^https?://[^\s?#]+$", "an address that begins with http:// or https://, without a query")
    )
    """The address of the API, if not the public one."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if find_spec("aiobotocore") is None:
            raise ValueError(f"an aws_elbv2 action needs the AWS SDK: {how_to_get('aws')}")
        if (self.listener is None) == (self.rule is None):
            raise ValueError("give either listener or rule: the place that forwards")
        check_region(self.region, self.endpoint)
        return self

    @property
    def sets_weight(self) -> bool:
        """True: it forwards a part of the requests to the candidate's group."""
        return True

    @property
    def named_targets(self) -> Collection[str]:
        return self.target_groups

    def check(self, arms: Arms) -> None:
        places(self.target_groups, arms)


@dataclass(frozen=True, slots=True)
class _Move:
    """A change to make: the actions to set, the same in words, and whether actions are as they are to be."""

    actions: Sequence[Action]
    says: str
    is_made: Callable[[Sequence[Action]], bool]


def _would(found: ActionResult | _Move) -> ActionResult:
    return found if isinstance(found, ActionResult) else ActionResult(Ending.RETRY, f"would {found.says}")


class AwsElbv2:
    """Rolls back by forwarding all requests to the baseline's group. Reads the present state first and leaves unchanged
    what is right already. Of several places each is moved back that can be, whatever the others answer; a part of the
    requests is given to the candidate only where all of them can.

    If the candidate has no traffic and the baseline has not all of it, somebody else has moved it: it is left alone,
    and people are notified.
    """

    config_model: ClassVar[type[ActionConfig]] = ElbConfig

    def __init__(self, config: ElbConfig, context: ActionContext) -> None:
        self._config = config
        self._places = [ForwardingPlace(arn) for arn in (config.listener or config.rule or "", *config.also)]
        self._names = {arn: name for name, arn in config.target_groups.items()}
        self._open = AsyncExitStack()

    async def execute(self, order: ActionRequest) -> ActionResult:
        client = await self._client()
        found = [await self._asked(self._look(client, place, order)) for place in self._places]
        if order.weight and any(isinstance(each, ActionResult) and each.ending is not Ending.DONE for each in found):
            return self._together([_would(each) for each in found])
        moves = zip(self._places, found, strict=True)
        return self._together([await self._asked(self._moved(client, place, each)) for place, each in moves])

    async def describe(self, order: ActionRequest) -> str:
        client = await self._client()
        found = [await self._asked(self._look(client, place, order)) for place in self._places]
        return self._together([_would(each) for each in found]).detail

    async def close(self) -> None:
        await self._open.aclose()

    async def _asked(self, call: Awaitable[ResultT]) -> ResultT | ActionResult:
        """Await a call, and return any error of AWS as the outcome."""
        from healthd.checks.aws_failures import AWSError, explain_aws

        try:
            return await call
        except AWSError as error:
            code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
            if code.startswith("TargetGroupNotFound"):
                return ActionResult(Ending.NO_BASELINE, "the baseline's target group is not there any more")
            operation = getattr(error, "operation_name", "") or "the API"
            return ActionResult(Ending.RETRY, explain_aws(error, f"elasticloadbalancing:{operation}")[1])

    def _together(self, results: Sequence[ActionResult]) -> ActionResult:
        """Return the outcome of all places: what another try may still change comes first."""
        if len(results) == 1:
            return results[0]
        ending = min((result.ending for result in results), key=_URGENCY.index)
        told = zip(self._places, results, strict=True)
        detail = "; ".join(f"{place.name}: {result.detail}" for place, result in told)
        return ActionResult(ending, detail, seen=all(result.seen for result in results))

    async def _moved(self, client: Any, place: ForwardingPlace, found: ActionResult | _Move) -> ActionResult:
        if isinstance(found, ActionResult):
            return found
        actions = await place.forward(client, found.actions)
        if not found.is_made(actions):
            return ActionResult(Ending.RETRY, f"after the change it forwards {shares(actions, self._names)}")
        return ActionResult(Ending.DONE, f"did {found.says}", seen=True)

    async def _look(self, client: Any, place: ForwardingPlace, order: ActionRequest) -> ActionResult | _Move:
        """Return the change to make, or the outcome if nothing is to be changed."""
        if order.weight:
            return await self._look_wider(client, place, order.arms, order.weight)
        candidate, baseline = places(self._config.target_groups, order.arms)
        actions = await place.actions(client)
        now = shares(actions, self._names)
        if is_all_at(actions, baseline):
            return ActionResult(Ending.DONE, f"nothing to do: it forwards {now} already", seen=True)
        if not weights(actions):
            return ActionResult(
                Ending.REFUSED, "it forwards to no target group: somebody has put something else in place"
            )
        if candidate is not None and not reaches(actions, candidate):
            return ActionResult(
                Ending.REFUSED, f"the candidate has no traffic, and it forwards {now}: somebody moved it"
            )
        health = await self._health(client, baseline)
        name = self._names[baseline]
        if not any(health[state] for state in _ABLE):
            shown = ", ".join(f"{count} {state}" for state, count in sorted(health.items())) or "no targets"
            return ActionResult(Ending.NO_BASELINE, f"target group {name} has no healthy target ({shown})")
        says = f"forward everything to {name}; before it was {now}"
        return _Move(all_at(actions, baseline), says, lambda made: is_all_at(made, baseline))

    async def _look_wider(self, client: Any, place: ForwardingPlace, arms: Arms, share: float) -> ActionResult | _Move:
        """Return the change that gives the candidate a share of the requests, or the outcome if nothing is to be
        changed."""
        known, baseline = places(self._config.target_groups, arms)
        groups = self._config.target_groups.values()
        others = [group for group in groups if group != baseline]
        candidate = known or (others[0] if len(others) == 1 else None)
        if candidate is None:
            return ActionResult(Ending.REFUSED, "the request does not say which target the candidate has")
        actions = await place.actions(client)
        now = shares(actions, self._names)
        parts = parts_of(share, candidate, baseline)
        wanted = parts[candidate] / sum(parts.values()) if parts[candidate] else 0.0
        if not wanted:
            return ActionResult(Ending.REFUSED, f"a share of {share:.2%} is less than AWS can give, 0.1%: more budget")
        given = {group for group, weight in weights(actions).items() if weight}
        if not given or given - {candidate, baseline}:
            return ActionResult(Ending.REFUSED, f"it forwards {now}: somebody has put something else in place")

        def is_made(made: Sequence[Action]) -> bool:
            return abs(portion(made, candidate) - wanted) < 1e-9 and not is_tied(made)

        if is_made(actions):
            return ActionResult(Ending.DONE, f"nothing to do: it forwards {now} already", seen=True)
        health = await self._health(client, candidate)
        name = self._names[candidate]
        if not any(health[state] for state in _ABLE):
            return ActionResult(Ending.RETRY, f"target group {name} has no healthy target, and gets no traffic")
        says = f"forward {wanted:.1%} to {name}; before it was {now}"
        return _Move(divided(actions, parts | {baseline: parts.get(baseline, 0)}), says, is_made)

    async def _health(self, client: Any, group: str) -> Counter[str]:
        answer = await client.describe_target_health(TargetGroupArn=group)
        states = [target["TargetHealth"] for target in answer["TargetHealthDescriptions"]]
        return Counter(_IDLE if state.get("Reason") == _NOT_IN_USE else str(state["State"]) for state in states)

    async def _client(self) -> Any:
        region = self._config.region or self._places[0].arn.split(":")[3]
        client = new_client("elbv2", region=region, endpoint=self._config.endpoint, timeout=_CALL_SECONDS)
        return await self._open.enter_async_context(client)
