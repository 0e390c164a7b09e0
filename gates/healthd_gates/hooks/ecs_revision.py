"""The target groups of a service revision, by ECS's DescribeServiceRevisions: its resolved configuration has the groups
that the revision's own tasks are in, whichever of the two that is this time."""

from __future__ import annotations

import structlog

from healthd.aws.client import new_client
from healthd_gates.config.hooks.ecs import EcsConfig

_log = structlog.get_logger(__name__)
_CALL = "ecs:DescribeServiceRevisions"
_CALL_SECONDS = 5.0


class RevisionUnknownError(Exception):
    """ECS could not be asked for a revision's target groups, or has none of it yet."""


async def groups_of(revision: str, config: EcsConfig) -> list[str]:
    """Return the ARNs of the target groups of a revision, by its ARN. Raises RevisionUnknownError."""
    from healthd.checks.aws_failures import AWSError, explain_aws

    region = config.region or revision.split(":")[3] or None
    try:
        async with new_client("ecs", region=region, endpoint=config.endpoint, timeout=_CALL_SECONDS) as client:
            said = await client.describe_service_revisions(serviceRevisionArns=[revision])
            (described,) = said["serviceRevisions"] or [{}]
            used = described.get("resolvedConfiguration", {}).get("loadBalancers", [])
            found = [each["targetGroupArn"] for each in used if "targetGroupArn" in each]
    except AWSError as error:
        why = explain_aws(error, _CALL)[1]
        _log.warning("target group of a revision unknown", revision=revision, problem=why)
        raise RevisionUnknownError(f"The new revision's target group is not known: {why}") from error
    if not found:
        raise RevisionUnknownError("ECS names no target group of the new revision yet.")
    return found
