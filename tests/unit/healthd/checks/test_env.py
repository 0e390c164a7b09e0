"""Environment variables that are missing, empty, placeholders or too short."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthd.checks.contract import CheckContext
from healthd.checks.env import Env, EnvConfig, is_placeholder
from healthd.model import FailureKind, Result, Status
from tests.fakes.monitoring import HandClock


async def probe(environ: dict[str, str], *required: str, **options: Any) -> Result:
    config = EnvConfig.model_validate({"required": required, **options})
    return await Env(config, CheckContext("env", HandClock(), environ)).probe()


async def test_all_set() -> None:
    """Values of their own are what is asked for."""
    assert (await probe({"A": "postgresql://app:pw@db.internal/app", "B": "1"}, "A", "B")).status is Status.HEALTHY


async def test_each_fault_is_named() -> None:
    """Every variable that is wrong is named with what is wrong with it, and no value is."""
    environ = {"EMPTY": " ", "TEMPLATE": "your-super-secure-jwt-secret-256-bit", "SHORT": "s3cr3t", "FINE": "x9"}
    result = await probe(environ, "ABSENT", "EMPTY", "TEMPLATE", "FINE", min_length={"SHORT": 32})
    assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.MISCONFIGURED)
    assert result.message == "not set: ABSENT; empty: EMPTY; still a placeholder: TEMPLATE; too short: SHORT"
    assert result.observed == {
        "missing": ["ABSENT"],
        "empty": ["EMPTY"],
        "placeholders": ["TEMPLATE"],
        "tooShort": ["SHORT"],
    }


@pytest.mark.parametrize(
    "value",
    [
        "your-super-secure-jwt-secret-256-bit",
        "your-sendgrid-key-here",
        "YOUR_KEY",
        "postgresql://your-user:your-password@your-rds-endpoint:5432/db",
        "postgresql://username:password@db:5432/app",
        "https://key@example.com/1",
        "changeme",
        "please-change-me",
        "CHANGE_THIS",
        "replace_me",
        "xxx",
        "sk_live_xxxxxxxxxxxx",
        "AKIAIOSFODNN7EXAMPLE",
        "<api key>",
        "${JWT_SECRET}",
        "{{ jwt_secret }}",
        "password",
        "undefined",
        "null",
        "TODO",
        "aaaaaaaa",
        "00000000",
        "********",
        "...",
        "api-key-here",
    ],
)
def test_placeholders(value: str) -> None:
    """What stands in templates is not a value."""
    assert is_placeholder(value)


@pytest.mark.parametrize(
    "value",
    [
        "1",
        "true",
        "production",
        "test",
        "8888",
        "1000000",
        "us-east-1",
        "my-bucket",
        "/run/secrets/jwt_secret",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----",
        "mongodb+srv://app:9fJk2mQx@cluster0.ab12c.mongodb.net/app?retryWrites=true",
        "postgresql://app:p%40ss@db.internal:5432/app",
        "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "https://exchange-it.net",
        "https://o1.ingest.sentry.io/123",
        "$2b$12$K3",
    ],
)
def test_values(value: str) -> None:
    """What people set is not taken for a placeholder."""
    assert not is_placeholder(value)


@settings(max_examples=50)
@given(st.text(alphabet="0123456789abcdef", min_size=32, max_size=64).filter(lambda text: len(set(text)) > 4))
def test_random_keys_are_values(key: str) -> None:
    """A generated key is never mistaken for a placeholder."""
    assert not is_placeholder(key)


def test_names_are_checked() -> None:
    """A name that no environment can hold is a typing error."""
    with pytest.raises(ValueError, match="required"):
        EnvConfig.model_validate({"required": ["A-B"]})
