"""The word that was probably meant: the most similar one, or the one that begins so."""

import pytest

from healthd.nearest import ALMOST_THE_SAME, nearest

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
    ],
)
def test_what_is_meant(word: str, meant: str | None) -> None:
    assert nearest(word, KINDS) == meant


def test_no_beginning_is_taken_where_a_wrong_guess_does_harm() -> None:
    assert nearest("prom", KINDS, ALMOST_THE_SAME) is None
