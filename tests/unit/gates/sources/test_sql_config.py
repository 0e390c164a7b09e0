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


def test_what_mysql_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("healthd.checks.sql_database.find_spec", lambda _: None)
    assert config("SELECT 1").requests
    with pytest.raises(ValueError, match='names MySQL, which needs aiomysql: pip install "aiomysql'):
        SqlSourceConfig.model_validate({"kind": "sql", "uri": "mysql://db/shop"})


def test_a_parameter_of_mysql_stands_wherever_it_is_written() -> None:
    """Per cent signs of the query stay what they are."""
    arm = Arm(version="1.0", target="blue")
    found = parametrized("SELECT 1 WHERE a = $version OR b LIKE '5%' OR c = $version", "candidate", arm, "repeated")
    assert found == ("SELECT 1 WHERE a = %s OR b LIKE '5%%' OR c = %s", ("1.0", "1.0"))
    assert parametrized("SELECT 1 WHERE b LIKE '5%'", "candidate", arm, "repeated") == (
        "SELECT 1 WHERE b LIKE '5%'",
        (),
    )


def test_a_misspelt_placeholder_says_which_is_meant() -> None:
    with pytest.raises(ArmError, match=r"\$versoin; did you mean \$version\?"):
        parametrized("SELECT 1 WHERE v = $versoin", "candidate", Arm(version="1.0"))
