"""`healthd token new`."""

import json

from click.testing import CliRunner

from healthd.commands.token import token
from healthd.config.settings import Token
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
