"""The options of the source `otlp`."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from healthd_gates.sources import AnySource
from healthd_gates.sources.contract import Arm, ArmError, Arms

_config: TypeAdapter[Any] = TypeAdapter(AnySource)
COUNTS = {"requests": '{"shop.orders"}', "errors": '{"shop.orders","outcome"="failed"}'}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"requests": '{"a.b"}'}, "errors is missing"),
        ({"errors": '{"a.b"}'}, "requests is missing"),
        ({"latency": '{"a.b"}'}, "requests is missing"),
        ({"signal": "spans", **COUNTS}, "signal is spans"),
        ({"matchers": '"http.route"', **COUNTS}, "write them into the selectors"),
        ({"matchers": '"http.route"'}, "is a name alone"),
        ({"matchers": "http.route!=x"}, "matchers: "),
    ],
)
def test_what_does_not_fit_together_is_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        _config.validate_python({"kind": "otlp", **options})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"service.name": "shop", "service.version": "2"}),
        ({"resource": {"service.name": "till"}}, {"service.name": "till", "service.version": "2"}),
        ({"resource": {"deploy.color": "$target"}}, {"service.name": "shop", "deploy.color": "green"}),
        ({"matchers": '"release"="$version"'}, {"service.name": "shop"}),
    ],
)
def test_whose_telemetry_is_an_arms(options: dict[str, Any], expected: dict[str, str]) -> None:
    """What tells the versions apart is the version, unless something else does."""
    config = _config.validate_python({"kind": "otlp", **options})
    arms = Arms("shop", Arm("2", target="green"), Arm("1", target="blue"))
    assert config.expected("candidate", arms.candidate, "shop") == expected
    assert config.tells_apart(arms)
    assert not config.tells_apart(Arms("shop", arms.candidate, arms.candidate))
    assert config.takes("shop", expected)
    assert not config.takes("shop", {"service.name": "other"})


def test_a_label_that_the_request_lacks_is_named() -> None:
    config = _config.validate_python({"kind": "otlp", "resource": {"region": "$region"}})
    with pytest.raises(ArmError, match=r"candidate.labels.region: is needed"):
        config.check(Arms("shop", Arm("2")))
