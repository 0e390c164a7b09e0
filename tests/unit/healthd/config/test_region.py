"""Names of AWS regions: typing errors are found before the first deploy; new regions are not refused."""

import pytest

from healthd.aws.region import check_region


@pytest.mark.parametrize(
    ("region", "problem"),
    [
        ("eu-centrl-1", "Did you mean eu-central-1"),
        ("ue-central-1", "AWS has no"),
        ("eu-central", "AWS has no 'eu-central'"),
        ("us-esat-1", "Did you mean us-"),
        ("", "Write eu-central-1"),
        ("aws-global", "AWS has no"),
        ("eu-central-1 ", "AWS has no"),
    ],
)
def test_a_region_that_cannot_be_is_refused(region: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"^region: ") as refused:
        check_region(region, None)
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    "region", [None, "eu-central-1", "cn-northwest-1", "us-gov-west-1", "eusc-de-east-1", "ap-southwest-12"]
)
def test_what_is_or_may_come_is_a_region(region: str | None) -> None:
    check_region(region, None)


def test_an_endpoint_of_ones_own_has_regions_of_its_own() -> None:
    check_region("auto", "http://minio:9000")
