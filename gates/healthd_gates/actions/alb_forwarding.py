"""Reads the forwarding of an AWS load balancer's listener or rule, and builds actions that forward all to one target
group, or a part to each of two. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Action = Mapping[str, Any]
_ALL = 100
_GRAINS = 1000  # in which a part is given; a weight is at most 999
_AUTHENTICATION = {"authenticate-oidc": "AuthenticateOidcConfig"}


def weights(actions: Sequence[Action]) -> dict[str, int]:
    """Return the weight of each target group that requests are forwarded to; empty if nothing is forwarded."""
    forward = next((action for action in actions if action["Type"] == "forward"), None)
    if forward is None:
        return {}
    groups = forward.get("ForwardConfig", {}).get("TargetGroups") or [{"TargetGroupArn": forward["TargetGroupArn"]}]
    if len(groups) == 1:
        return {groups[0]["TargetGroupArn"]: _ALL}  # its weight, whatever it is, means all
    return {group["TargetGroupArn"]: int(group.get("Weight", 1)) for group in groups}


def is_tied(actions: Sequence[Action]) -> bool:
    """True if cookies tie callers to one of several groups."""
    return len(weights(actions)) > 1 and _is_sticky(actions)


def is_all_at(actions: Sequence[Action], group: str) -> bool:
    """True if every request goes to that group; a request that a cookie ties to another group may not."""
    found = weights(actions)
    others = [other for other in found if other != group]
    return found.get(group, 0) > 0 and not (others and (any(found[o] for o in others) or _is_sticky(actions)))


def reaches(actions: Sequence[Action], group: str) -> bool:
    """True if requests go to that group: by its weight, or by a cookie from when it had some."""
    found = weights(actions)
    return found.get(group, 0) > 0 or (group in found and len(found) > 1 and _is_sticky(actions))


def all_at(actions: Sequence[Action], group: str, beside: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the actions to send: all weight at that group, none at the others, and no cookie that ties a caller to one
    of them. Actions before the forward, such as a login, stay as they are.

    Groups `beside` it are included with weight 0: AWS checks the health of a group's targets only while it is named.
    """
    return divided(actions, {group: _ALL} | {other: 0 for other in beside if other != group})


def parts_of(share: float, candidate: str, baseline: str) -> dict[str, int]:
    """Return the weights that give a candidate the largest share in thousandths that is not above `share` (0 to 1)."""
    part = int(share * _GRAINS + 1e-9)
    return {baseline: _GRAINS - part, candidate: part} if 0 < part < _GRAINS else {candidate: _ALL if part else 0}


def portion(actions: Sequence[Action], group: str) -> float:
    """Return a group's share of the requests, from 0 to 1."""
    found = weights(actions)
    return found.get(group, 0) / total if (total := sum(found.values())) else 0.0


def divided(actions: Sequence[Action], parts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return the actions to send: these weights for these groups, none for the others, and no cookie that ties a caller
    to one of them."""
    changed = []
    for action in actions:
        kept = {key: value for key, value in action.items() if key not in ("TargetGroupArn", "ForwardConfig")}
        if action["Type"] == "forward":
            every = dict(parts) | {other: 0 for other in weights(actions) if other not in parts}
            groups = [{"TargetGroupArn": group, "Weight": weight} for group, weight in every.items()]
            kept["ForwardConfig"] = {"TargetGroups": groups}
            if len(groups) > 1:
                kept["ForwardConfig"]["TargetGroupStickinessConfig"] = {"Enabled": False}
        elif config := _AUTHENTICATION.get(action["Type"]):
            # AWS does not show the client's secret, and takes "the one that you have" instead.
            told = {key: value for key, value in action[config].items() if key != "ClientSecret"}
            kept[config] = {**told, "UseExistingClientSecret": True}
        changed.append(kept)
    return changed


def shares(actions: Sequence[Action], names: Mapping[str, str]) -> str:
    """Return the weights for people: `90 % to blue, 10 % to green`. `names` are those of target groups by their ARN."""
    found = weights(actions)
    total = sum(found.values())
    if not total:
        return "nothing to any target group"
    said = [f"{weight / total:.0%} to {names.get(arn, arn)}" for arn, weight in found.items() if weight]
    tied = " (callers stay where a cookie ties them)" if len(found) > 1 and _is_sticky(actions) else ""
    return ", ".join(said) + tied


def _is_sticky(actions: Sequence[Action]) -> bool:
    configs = [action.get("ForwardConfig", {}) for action in actions if action["Type"] == "forward"]
    return any(config.get("TargetGroupStickinessConfig", {}).get("Enabled", False) for config in configs)
