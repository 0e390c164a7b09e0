"""`healthd token new`."""

import json

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from healthd.commands.token import token
from healthd.config.auth import Token
from healthd.web.auth import hash_token


def test_a_new_token_fits_its_hash_and_the_configuration() -> None:
    """What it prints can be pasted, and the hash does not hold the token."""
    result = CliRunner().invoke(token, ["new", "--name", "deploy", "--scope", "gates:read", "--json"])
    made = json.loads(result.stdout)
    secret = made.pop("token")
    configured = Token.model_validate(made)
    assert configured.hash.get_secret_value() == hash_token(secret)
    assert (configured.name, configured.scopes) == ("deploy", frozenset({"gates:read"}))
    assert secret not in made["hash"]


def test_two_tokens_are_not_the_same() -> None:
    """They are random."""
    printed = {CliRunner().invoke(token, ["new"]).stdout for _ in range(2)}
    assert len(printed) == 2


def test_an_unknown_scope_is_refused() -> None:
    """With the scopes that there are."""
    result = CliRunner().invoke(token, ["new", "--scope", "everything"])
    assert result.exit_code == 2
    assert "gates:verify" in result.stderr


@pytest.mark.parametrize(
    "asked", [["--role", "deployer"], ["--service", "a-*"], ["--expires", "9d"], ["--name", "x"], ["--json"]]
)
def test_variables_for_a_shell_lose_no_bound(asked: list[str]) -> None:
    """They hold a token and its hash: whoever asks for a role too would paste a hash without it."""
    result = CliRunner().invoke(token, ["new", "--env", *asked])
    assert result.exit_code == 2
    assert f"would lose {asked[0]}: leave out --env" in " ".join(result.stderr.replace("│", "").split())
    assert CliRunner().invoke(token, ["new", "--env"]).stdout.startswith("export HEALTHD_TOKEN=hd_")


def test_bounds_are_printed_as_they_are_configured() -> None:
    """The line that is to be pasted is YAML that means what was asked for."""
    asked = [
        "--role",
        "deployer",
        "--service",
        "shop-*",
        "--label",
        "team=on",
        "--label",
        "team=a b",
        "--expires",
        "1d",
    ]
    line = CliRunner().invoke(token, ["new", *asked]).stdout.strip().splitlines()[-1]
    (written,) = YAML(typ="safe", pure=True).load(line)
    configured = Token.model_validate(written)
    assert (configured.role, configured.services, configured.labels) == (
        "deployer",
        ("shop-*",),
        {"team": ("on", "a b")},
    )
    assert configured.expires is not None
    assert configured.scopes == frozenset()


@pytest.mark.parametrize(
    ("option", "given", "said"),
    [
        ("--expires", "9", "neither a duration such as 90d nor a date such as 2027-01-31"),
        ("--expires", "2001-01-01", "is in the past"),
        ("--label", "team", "write it as team=payments"),
        ("--role", "owner", "'viewer', 'deployer', 'operator', 'admin'"),
    ],
)
def test_wrong_bounds_are_refused(option: str, given: str, said: str) -> None:
    """With what can be written instead."""
    result = CliRunner().invoke(token, ["new", option, given])
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


@pytest.mark.parametrize("given", ["0d", "2020-01-01", "9999-12-31T23:59:59-14:00", "999999999d", "soon"])
def test_an_end_that_is_none(given: str) -> None:
    """A token that has ended before it is used, or never could, is not made."""
    result = CliRunner().invoke(token, ["new", "--expires", given])
    assert (result.exit_code, f"'{given}' is" in result.stderr) == (2, True)
