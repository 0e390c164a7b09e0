"""Parse one entry of `notifiers:` and of `routes:` in a file to its model."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, SerializeAsAny, ValidationInfo

from healthd.checks.parsing import MISSING, check_what_is_set
from healthd.nearest import not_under
from healthd.notifiers import NOTIFIERS
from healthd.notifiers.contract import MisconfiguredNotifier, NotifierConfig
from healthd.notifiers.routes import Route
from healthd.registry import SchemaOfKinds


def _read(raw: Any) -> NotifierConfig:
    if isinstance(raw, NotifierConfig):
        return raw
    model: type[NotifierConfig] = NOTIFIERS.model_of(raw)
    if not raw.get(MISSING):
        return model.model_validate(raw)
    check_what_is_set(raw, model)
    given = {key: value for key, value in raw.items() if key in NotifierConfig.model_fields and value is not None}
    return MisconfiguredNotifier.model_validate({**given, "missing": tuple(raw[MISSING])})


def _leads_somewhere(route: Route, info: ValidationInfo) -> Route:
    """Refuse names of notifiers and checks that do not exist. Reports nothing while those are in error themselves."""
    for name in route.to:
        if name not in (known := info.data.get("notifiers", route.to)):
            raise ValueError(f"to names {not_under('notifiers', name, known)}")
    for name in route.checks:
        if "*" not in name and name not in (known := info.data.get("checks", route.checks)):
            raise ValueError(f"checks names {not_under('checks', name, known)}")
    return route


AnyNotifier = Annotated[SerializeAsAny[NotifierConfig], BeforeValidator(_read), SchemaOfKinds(NOTIFIERS)]
KnownRoute = Annotated[Route, AfterValidator(_leads_somewhere)]
