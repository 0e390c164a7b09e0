"""The descriptions of options."""

from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from healthd.config.field_docs import DescribedJsonSchema, field_docs


class Inner(BaseModel):
    """The inner one."""

    depth: int = 1
    """How deep
    it is."""


class Outer(BaseModel):
    inner: Inner = Inner()
    """The part inside."""
    name: str = Field("x", alias="called", description="Its own words.")
    """Words that are not shown."""
    silent: int = 0


class Derived(Outer):
    silent: int = 1
    """Now it speaks."""
    inner: Inner = Inner()


def test_a_field_is_described_by_the_text_below_it() -> None:
    """That of a base holds until a subclass declares the field again."""
    assert field_docs(Inner) == {"depth": "How deep\nit is."}
    assert field_docs(Derived) == {"name": "Words that are not shown.", "silent": "Now it speaks."}


def test_models_are_told_apart_by_where_they_are() -> None:
    """Two of one name, in a class and in a function."""

    class Inner(BaseModel):
        depth: int = 1
        """Of this function."""

    class Around:
        class Inner(BaseModel):
            depth: int = 1
            """Of this class."""

    assert field_docs(Inner) == {"depth": "Of this function."}
    assert field_docs(Around.Inner) == {"depth": "Of this class."}


def test_schemas_show_them() -> None:
    """Beside a reference too; a description in the field itself goes first."""
    _, whole = models_json_schema([(Outer, "validation")], schema_generator=DescribedJsonSchema)
    options = whole["$defs"]["Outer"]["properties"]
    assert {name: option.get("description") for name, option in options.items()} == {
        "inner": "The part inside.",
        "called": "Its own words.",
        "silent": None,
    }
    assert whole["$defs"]["Inner"]["properties"]["depth"]["description"] == "How deep\nit is."


def test_a_model_without_a_source_has_none() -> None:
    """Such as one that a plug-in makes at run time."""
    made = type("Made", (BaseModel,), {"__annotations__": {"x": int}, "x": 1})
    assert field_docs(made) == {}
