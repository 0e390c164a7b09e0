"""Parse one entry of `checks:` in a file to the model of its kind. The options are defined by its kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from healthd.checks import CHECKS
from healthd.checks.contract import CheckConfig
from healthd.checks.misconfigured import MisconfiguredConfig
from healthd.validation_words import as_it_was

MISSING = "__missing__"  # the key under which the file reader stores the names of unset variables


def read_check(raw: Any, defaults: Mapping[str, Any]) -> CheckConfig:
    """Return the model, with the file's defaults where neither the entry nor its kind sets an option. Raises
    ValueError."""
    if isinstance(raw, CheckConfig):
        return raw
    model: type[CheckConfig] = CHECKS.model_of(raw)
    for key, default in defaults.items():
        if key not in raw and yields_to_defaults(model, key):
            raw = {**raw, key: default}
    if raw.get(MISSING):
        return _misconfigured(raw, model)
    try:
        return model.model_validate(raw)
    except ValueError:
        raise
    except Exception as error:  # a validator of a third-party package; its message might quote a secret
        raise ValueError(f"kind {raw['kind']!r} fails to read its options: {type(error).__name__}") from None


def yields_to_defaults(model: type[CheckConfig], key: str) -> bool:
    """True if a kind has no default of its own for an option of every check."""
    return key in CheckConfig.model_fields and model.model_fields[key].default == CheckConfig.model_fields[key].default


def _misconfigured(raw: dict[str, Any], model: type[CheckConfig]) -> MisconfiguredConfig:
    """Return a check with unset variables: the options common to all kinds, and the names of the missing variables."""
    check_what_is_set(raw, model)
    own = {key: model.model_fields[key].get_default() for key in CheckConfig.model_fields if key != "kind"}
    given = {key: value for key, value in raw.items() if key in CheckConfig.model_fields and value is not None}
    return MisconfiguredConfig.model_validate({**own, **given, "missing": tuple(raw[MISSING])})


def check_what_is_set(raw: dict[str, Any], model: type[BaseModel]) -> None:
    """Validate the options that need no unset variable, and the names of all: their mistakes must show up before
    production. Raises ValidationError."""
    known = {*model.model_fields, *(field.alias for field in model.model_fields.values())}
    whole = {key: value for key, value in raw.items() if key != MISSING and (key not in known or not _has_gap(value))}
    try:
        model.model_validate(whole)
    except ValidationError as error:
        told = [problem for problem in error.errors(include_url=False) if problem["loc"] and problem["loc"][0] in whole]
        if told:
            raise ValidationError.from_exception_data(
                error.title, [as_it_was(problem, hidden=True) for problem in told]
            ) from None


def _has_gap(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_gap, value.values()))
    return any(map(_has_gap, value)) if isinstance(value, list) else value is None
