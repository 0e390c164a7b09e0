"""The queries of the source `sql`, as far as they can be read before a database is asked."""

from typing import Any

import pytest

from healthd_gates.sources.contract import Arm, ArmError
from healthd_gates.sources.sql_config import SqlSourceConfig, parametrized


def config(requests: str) -> SqlSourceConfig:
    given: dict[str, Any] = {"kind": "sql", "uri": "postgresql://db/shop", "requests": requests, "errors": "SELECT 1"}
    return SqlSourceConfig.model_validate(given)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1",
        "  with a as (select 1) select * from a",
        "-- all\n(SELECT 1)",
        "/* all */ VALUES (1)",
        "table counts",
    ],
)
def test_a_query_reads(query: str) -> None:
    assert config(query).requests == query


@pytest.mark.parametrize(
    ("query", "word"),
    [("DELETE FROM requests", "DELETE"), ("-- SELECT\nupdate a set b = 1", "UPDATE"), ("/* */ 1", "no word")],
)
def test_a_statement_that_does_not_read_is_refused(query: str, word: str) -> None:
    """The transaction is read only: it would fail at every look instead of here."""
    with pytest.raises(ValueError, match=f"requests: begins with {word}, and is only read from"):
        config(query)


def test_a_misspelt_placeholder_says_which_is_meant() -> None:
    with pytest.raises(ArmError, match=r"\$versoin; did you mean \$version\?"):
        parametrized("SELECT 1 WHERE v = $versoin", "candidate", Arm(version="1.0"))
