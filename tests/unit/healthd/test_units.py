"""Durations, ratios and sizes as people write them."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from healthd.config.yaml_text import read_yaml
from healthd.units import Duration, Ratio, Size, Time, parse_duration, show_duration

DURATION, RATIO, SIZE = (TypeAdapter[Any](kind) for kind in (Duration, Ratio, Size))


@pytest.mark.parametrize(
    ("written", "seconds"), [("30s", 30), ("5m", 300), ("1h30m", 5400), ("250ms", 0.25), ("1.5h", 5400), ("2d", 172800)]
)
def test_durations(written: str, seconds: float) -> None:
    """A number and its unit, or several."""
    assert DURATION.validate_python(written) == seconds


@pytest.mark.parametrize(
    "written", ["30", 30, "", "5 m", "m5", "-5s", "0s", "1w", True, None, "5s5", "1e3s", float("inf"), "365001d"]
)
def test_durations_that_are_none(written: object) -> None:
    """A bare number is not guessed at: seconds and milliseconds are a thousand apart."""
    with pytest.raises(ValidationError):
        DURATION.validate_python(written)


@settings(max_examples=50)
@given(st.integers(1, 10**9))
def test_durations_there_and_back(milliseconds: int) -> None:
    """What is shown means what was meant."""
    shown = show_duration(milliseconds / 1000)
    assert parse_duration(shown) == pytest.approx(milliseconds / 1000, rel=1e-5)


@pytest.mark.parametrize(("written", "ratio"), [("5%", 0.05), ("0.5 %", 0.005), (0.05, 0.05), (0, 0.0), ("100%", 1.0)])
def test_ratios(written: object, ratio: float) -> None:
    """A percentage with its sign; a float of Python code is a fraction."""
    assert RATIO.validate_python(written) == pytest.approx(ratio)


@pytest.mark.parametrize("written", ["5", 5, 1, "150%", "-5%", 1.5, "five", None, False, "0.5"])
def test_ratios_that_are_none(written: object) -> None:
    """A number could mean either."""
    with pytest.raises(ValidationError):
        RATIO.validate_python(written)


@pytest.mark.parametrize(
    ("written", "size"), [("512MiB", 2**29), ("1GB", 10**9), (100, 100), ("1.5 KiB", 1536), ("7", 7)]
)
def test_sizes(written: object, size: int) -> None:
    """Powers of ten and of two are told apart."""
    assert SIZE.validate_python(written) == size


@pytest.mark.parametrize("written", ["512 mib", "-1", -1, True, "much", None])
def test_sizes_that_are_none(written: object) -> None:
    """What is not a size is refused."""
    with pytest.raises(ValidationError):
        SIZE.validate_python(written)


@pytest.mark.parametrize(
    ("written", "cure"),
    [
        *((5, "5%"), ("2.5", "2.5%"), (100, "100%"), (True, "90%"), ("a", "90%"), ("101", "90%")),
        *(("0.5", "0.5% or 50%"), ("0.005", "0.005% or 0.5%"), ("0.999", "0.999% or 99.9%")),
    ],
)
def test_a_ratio_without_its_sign_is_told_how_to_be_written(written: object, cure: str) -> None:
    with pytest.raises(ValidationError, match=f"write it with its sign, such as {cure} "):
        RATIO.validate_python(written)


@pytest.mark.parametrize("written", ["0.5", ".5", "5e-1", "0.50", "1.0", "0.9", "-0.5"])
def test_a_number_of_a_file_has_no_meaning_without_its_sign_or_unit(written: str) -> None:
    """`0.5` is written for a half of a percent, and for a half of all: a gate that took it for either would let the
    hundredfold pass. Nor does a time of 0.5 say of what."""
    number = read_yaml(f"value: {written}")["value"]
    with pytest.raises(ValidationError, match="write it with its sign"):
        RATIO.validate_python(number)
    with pytest.raises(ValidationError, match="write a number with its unit"):
        DURATION.validate_python(number)


@pytest.mark.parametrize("written", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
def test_times_out_of_range(written: str) -> None:
    """A time that has a year of its own zone and none in UTC cannot be told, stored or compared."""
    with pytest.raises(ValidationError, match="is out of range: times are within the years 1 to 9999, in UTC"):
        TypeAdapter(Time).validate_python(written)
    assert TypeAdapter(Time).validate_python("9999-12-31T23:59:59Z").year == 9999


def test_a_negative_duration_is_called_so() -> None:
    """With the length that was probably meant."""
    with pytest.raises(ValueError, match="'-5s' is negative: a duration is positive, such as 5s"):
        parse_duration("-5s")
