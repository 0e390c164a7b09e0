"""Refusals tell a person enough, and no more."""

import pytest

from healthd_gates.domain.errors import UnknownService

MANY = [f"service-{number}" for number in range(60)]


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ([], "there are: none."),
        (["api", "web"], "there are: api, web. Did you mean web?"),
        ([*MANY, "webs"], "and 53 more. Did you mean webs?"),
    ],
    ids=["none", "few", "many"],
)
def test_of_many_names_those_most_like_it_are_listed(known: list[str], told: str) -> None:
    refusal = str(UnknownService(service="wbs" if len(known) > 2 else "wbe", known=known))
    assert refusal.endswith(told), refusal
    assert len(refusal) < 200
