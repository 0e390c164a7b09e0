"""Credentials of the configuration that are sent as they are, in a header."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, SecretStr


def filled(secret: SecretStr) -> SecretStr:
    """Return a secret that is not empty. Raises ValueError."""
    if not secret.get_secret_value().strip():
        raise ValueError("is empty: the variable that it comes from may be unset")
    return secret


def one_word(key: SecretStr) -> SecretStr:
    """Return a key that a header can carry. Raises ValueError."""
    text = filled(key).get_secret_value()
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("is not an API key: it has spaces, line breaks or foreign letters")
    return key


APIKey = Annotated[SecretStr, AfterValidator(one_word)]
Password = Annotated[SecretStr, AfterValidator(filled)]
