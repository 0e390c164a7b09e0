"""What the database checks share: URIs that keep their secret, and limits."""

import pytest
from pydantic import SecretStr, ValidationError

from healthd.checks.database import Limits, checked_uri, first_line, percent
from healthd.checks.postgresql_options import PostgreSQLConfig
from healthd.config.file import ConfigError, parse
from healthd.config.settings import Settings
from healthd.model import FailureKind, Status


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://u:p@host/db",
        "postgres://u:p@one:5432,two:5433/db",
        "postgresql://u:p@[::1]:5432/db",
        "postgresql:///db?host=/run/postgresql",
        "postgresql://host:5432/db?user=me@corp.example",
        "postgresql://u:p@host/db?application_name=a@b#c@d",
    ],
)
def test_usable_uris_pass(uri: str) -> None:
    """One host or several, with and without ports, IPv6, and none for a socket."""
    assert checked_uri(SecretStr(uri), "postgresql", "postgres").get_secret_value() == uri


@pytest.mark.parametrize(
    ("uri", "fix"),
    [
        ("mysql://u:marked-s3cret@host/db", "postgresql:// or postgres://"),
        ("marked-s3cret", "postgresql:// or postgres://"),
        ("postgresql://u:marked-s3cret/x@host/db", "%2F"),
        ("postgresql://u:marked-s3cret#x@host/db", "%23"),
        ("postgresql://u:1234/s3cret@host/db", "%2F"),
        ("postgresql://u:1234?s3cret@host/db", "%3F"),
        ("postgresql://u:1234#s3cret@host/db", "%23"),
        ("postgresql://u:1234/s3cret?x#y@host:5432/db?sslmode=require", "%2F"),
    ],
)
def test_unusable_uris_are_refused_without_a_word_of_them(uri: str, fix: str) -> None:
    """The error names the fix and shows nothing of the value, which holds a password."""
    with pytest.raises(ValidationError) as refused:
        PostgreSQLConfig(uri=SecretStr(uri))
    assert fix in str(refused.value)
    assert "s3cret" not in str(refused.value)
    text = f"checks: {{pg: {{kind: postgresql, uri: '{uri}'}}}}"
    with pytest.raises(ConfigError) as error:
        parse(text, "test.yaml", Settings, {})
    assert "checks.pg.uri" in str(error.value)
    assert "s3cret" not in str(error.value)


def test_limits_judge_both_ends() -> None:
    """A limit that is reached counts as passed."""
    limits = Limits(degraded=0.5, unhealthy=1.0)

    def status(used: float, of: float) -> Status | None:
        result = limits.judge(used, of, "", {}, None)
        assert result is None or result.kind is FailureKind.EXHAUSTED
        return result.status if result else None

    assert [status(4, 10), status(5, 10), status(9, 10), status(10, 10), status(1, 0)] == [
        None, Status.DEGRADED, Status.DEGRADED, Status.UNHEALTHY, Status.UNHEALTHY,
    ]  # fmt: skip


def test_limits_in_the_wrong_order_are_refused() -> None:
    """A warning above the limit that it should warn of would never be seen."""
    with pytest.raises(ValidationError, match="degraded must not be above unhealthy"):
        Limits(degraded=0.9, unhealthy=0.8)


def test_figures_and_texts() -> None:
    """Shares as a person reads them; an exception without a text still says something."""
    assert (percent(1, 3), percent(0, 0)) == (33.3, 100.0)
    assert (first_line(ValueError("what\nDETAIL: more")), first_line(ValueError())) == ("what", "ValueError")
