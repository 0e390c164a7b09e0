"""The target that has the new version, by what AWS calls its target group."""

from __future__ import annotations

from collections.abc import Collection

from healthd_gates.config.target_groups import Groups
from healthd_gates.domain.errors import InvalidRequest


def target_of(groups: Groups, new: Collection[str]) -> str:
    """Return the target that has the new version, by the target groups that AWS names for it (an ARN, or a name).
    Raises InvalidRequest."""
    found = sorted(target for target, group in groups.items() if any(_is_same(group, name) for name in new))
    if len(found) != 1:
        names = ", ".join(sorted(name.rpartition("targetgroup/")[2] for name in new)) or "no target group"
        problem = (
            f"AWS has the new version in {names}; of the source's target_groups that is {' and '.join(found) or 'none'}"
        )
        raise InvalidRequest(field="candidate.target", problem=problem)
    return found[0]


def _is_same(group: str, named: str) -> bool:
    return named.endswith(f":{group}") or f"targetgroup/{named}" == group.rpartition("/")[0]
