"""The word that was probably meant: the most similar one, or the one that begins so."""

import pytest

from healthd.nearest import ALMOST_THE_SAME, nearest, not_under

KINDS = ("access_log", "datadog", "probe", "prometheus", "postgresql", "push", "push_series")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("prom", "prometheus"),
        ("Prom", "prometheus"),
        ("postgres", "postgresql"),
        ("accesslog", "access_log"),
        ("prob", "probe"),
        ("datadgo", "datadog"),
        ("mysql", None),
        ("pushing", None),
        ("postgrest", "postgresql"),
        ("probation", None),
        ("push-", "push"),
        ("series", "push_series"),
        ("log", None),
    ],
)
def test_what_is_meant(word: str, meant: str | None) -> None:
    assert nearest(word, KINDS) == meant


def test_no_beginning_is_taken_where_a_wrong_guess_does_harm() -> None:
    assert nearest("prom", KINDS, ALMOST_THE_SAME) is None


def test_what_is_there_is_named_where_nothing_is_alike() -> None:
    """Of many the first of the alphabet, and how many more: a message stays a line or two."""
    assert not_under("checks", "zzz", {"web", "db"}) == "'zzz', which is not under checks; there are: db, web"
    assert not_under("checks", "wbe", {"web", "db"}) == "'wbe', which is not under checks; did you mean web?"
    assert not_under("checks", "zzz", ()) == "'zzz', which is not under checks; nothing is there"
    many = [f"check-{number:03}" for number in range(150)]
    assert not_under("checks", "zzz", many).endswith("check-022, check-023 and 126 more")
