"""The target that has the new version, by what AWS calls its target group."""

import pytest

from healthd_gates.config.target_groups import at_the_other
from healthd_gates.domain.errors import InvalidRequest
from healthd_gates.domain.request import Version
from healthd_gates.hooks.placing import target_of

GROUPS = {"blue": "targetgroup/api/73e2d6bc24d8a067", "green": "targetgroup/api-2/943f017f100becff"}
ARN = "arn:aws:elasticloadbalancing:us-west-2:123456789012:"


@pytest.mark.parametrize(
    ("named", "target"),
    [
        (["api"], "blue"),
        (["api-2"], "green"),
        ([ARN + GROUPS["blue"]], "blue"),
        ([ARN + "targetgroup/metrics/1111111111111111", ARN + GROUPS["green"]], "green"),
    ],
)
def test_a_group_is_known_by_its_name_and_by_its_arn(named: list[str], target: str) -> None:
    assert target_of(GROUPS, named) == target


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ([], "AWS has the new version in no target group; of the source's target_groups that is none"),
        (["ap"], "in ap; of the source's target_groups that is none"),
        ([ARN + "targetgroup/api/1111111111111111"], "in api/1111111111111111; of .* none"),
        (["api", "api-2"], "in api, api-2; of the source's target_groups that is blue and green"),
    ],
)
def test_any_other_group_is_refused(named: list[str], said: str) -> None:
    """It is a group of the same name that was made anew, too: its numbers are others."""
    with pytest.raises(InvalidRequest, match=said):
        target_of(GROUPS, named)


def test_the_baseline_is_at_the_other_one() -> None:
    assert at_the_other(GROUPS, "green", Version(version="stable")) == Version(version="stable", target="blue")
    assert at_the_other(GROUPS, "green", None) is None
