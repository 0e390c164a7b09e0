"""Resources that must exist in an AWS account, and the finding when one does not. Decides no status of a whole
check."""

from __future__ import annotations

from collections import Counter
from typing import Any

from healthd.checks.finding import Finding
from healthd.model import FailureKind, JSONScalar, Status

Observations = dict[str, JSONScalar | list[str]]


def _missing(what: str) -> Finding:
    return Finding(Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE, f"there is no {what}")


async def caller(sts: Any, account: str, observed: Observations) -> Finding | None:
    """Return a finding unless the credentials belong to `account`; any account passes if that is empty."""
    answer = await sts.get_caller_identity()
    observed |= {"account": str(answer["Account"]), "identity": str(answer["Arn"])}
    if account in ("", answer["Account"]):
        return None
    other = f"the credentials are of account {answer['Account']}, not {account}"
    return Finding(Status.UNHEALTHY, FailureKind.MISCONFIGURED, other)


async def vpc(ec2: Any, name: str, observed: Observations) -> Finding | None:
    """Check the VPC whose tag Name is `name`."""
    answer = await ec2.describe_vpcs(Filters=[{"Name": "tag:Name", "Values": [name]}])
    found = answer["Vpcs"]
    if not found:
        return _missing(f"VPC with the tag Name={name}")
    observed["vpc"] = [str(each["VpcId"]) for each in found]
    if any(each["State"] != "available" for each in found):
        return Finding(Status.DEGRADED, FailureKind.THRESHOLD, f"VPC {name} is not available yet")
    return None


async def security_groups(ec2: Any, pattern: str, observed: Observations) -> Finding | None:
    """Check that at least one security group has a name that matches `pattern`, in which * and ? are AWS's own
    wildcards."""
    answer = await ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [pattern]}])
    observed["securityGroups"] = sorted(str(group["GroupName"]) for group in answer["SecurityGroups"])
    return None if answer["SecurityGroups"] else _missing(f"security group named {pattern}")


async def load_balancer(elbv2: Any, name: str, observed: Observations) -> Finding | None:
    """Check that the load balancer of that name exists and is active."""
    try:
        answer = await elbv2.describe_load_balancers(Names=[name])
    except elbv2.exceptions.LoadBalancerNotFoundException:
        return _missing(f"load balancer {name}")
    state = str(answer["LoadBalancers"][0]["State"]["Code"])
    observed["loadBalancerState"] = state
    if state == "active":
        return None
    status = Status.UNHEALTHY if state == "failed" else Status.DEGRADED
    return Finding(status, FailureKind.THRESHOLD, f"load balancer {name} is {state}, not active")


async def target_group(elbv2: Any, name: str, observed: Observations, at_least: int) -> Finding | None:
    """Check that the target group of that name has `at_least` healthy targets and no unhealthy one."""
    try:
        groups = await elbv2.describe_target_groups(Names=[name])
    except elbv2.exceptions.TargetGroupNotFoundException:
        return _missing(f"target group {name}")
    answer = await elbv2.describe_target_health(TargetGroupArn=groups["TargetGroups"][0]["TargetGroupArn"])
    states = Counter(str(target["TargetHealth"]["State"]) for target in answer["TargetHealthDescriptions"])
    healthy = states["healthy"]
    observed |= {"targets": states.total(), "targetsHealthy": healthy}
    shown = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no targets"
    if healthy < at_least:
        few = f"target group {name} has {shown}; at least {at_least} should be healthy"
        return Finding(Status.UNHEALTHY, FailureKind.THRESHOLD, few)
    if states["unhealthy"] or states["unavailable"]:
        return Finding(Status.DEGRADED, FailureKind.THRESHOLD, f"target group {name} has {shown}")
    return None
