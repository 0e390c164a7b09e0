"""Models that tell all that is wrong with them at once: the faults between options beside those of single ones, which a
validator looks for only where each option is right by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from pydantic import BaseModel, ModelWrapValidatorHandler, ValidationError, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from healthd.config.synonyms import meant_by
from healthd.nearest import nearest
from healthd.validation_words import as_it_was

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails, InitErrorDetails


class Fault(NamedTuple):
    """Fault between options that are each right. It is told unless one of those that it is `about`, as they are
    written, is itself wrong."""

    text: str
    about: tuple[str, ...]
    field: str | None = None


class Whole(BaseModel):
    """Model with faults between its options."""

    stand_ins: ClassVar[Mapping[str, Any]] = {}
    """A valid value for each option that is required: while one is wrong, faults between the others are told."""

    def faults(self, context: Any) -> Iterator[Fault]:
        """Yield the faults between options; `context` is what the document is validated against."""
        yield from ()

    @model_validator(mode="wrap")
    @classmethod
    def _tell_all(cls, given: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        found: list[ErrorDetails] = []
        try:
            model = handler(given)
        except ValidationError as error:
            found, right = error.errors(include_url=False), cls._without(given, error)
            if right is None:
                raise
            try:
                model = handler(right)
            except ValidationError:
                raise error from None
        wrong = cls._in_doubt(found)
        told = [fault for fault in model.faults(info.context) if not wrong.intersection(fault.about)]
        if not found and not told:
            return model
        raise ValidationError.from_exception_data(
            cls.__name__, [*map(as_it_was, found), *(_new(it, given) for it in told)]
        )

    @classmethod
    def _without(cls, given: Any, error: ValidationError) -> dict[str, Any] | None:
        """Return a document without its options that are wrong; None where it is no mapping."""
        if not isinstance(given, Mapping):
            return None
        wrong = {each["loc"][0] for each in error.errors(include_url=False, include_input=False) if each["loc"]}
        stand_ins = {name: value for name, value in cls.stand_ins.items() if name in wrong}
        return {name: value for name, value in given.items() if name not in wrong} | stand_ins

    @classmethod
    def _in_doubt(cls, found: list[ErrorDetails]) -> set[str]:
        """Return the options that are wrong, and those that a misspelt one was probably meant for."""
        known = {field.alias or name for name, field in cls.model_fields.items()}
        wrong = {str(each["loc"][0]) for each in found if each["loc"]}
        return wrong | {
            alike for name in wrong - known if (alike := meant_by(name, known) or nearest(name, known)) is not None
        }


def _new(fault: Fault, given: Any) -> InitErrorDetails:
    place = (fault.field,) if fault.field is not None else ()
    return {"type": PydanticCustomError("fault", "{told}", {"told": fault.text}), "loc": place, "input": given}
