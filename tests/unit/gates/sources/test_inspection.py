"""What is misnamed, too short or no counter at all, found before it costs a verdict."""

from math import inf

import pytest
from pydantic import TypeAdapter, ValidationError

from healthd_gates.sources.contract import Arm, ArmError
from healthd_gates.sources.counters import Family
from healthd_gates.sources.exposition import PLAIN, read_page
from healthd_gates.sources.inspection import (
    merely_without_errors,
    missing_label,
    missing_metric,
    missing_value,
    short_buckets,
)
from healthd_gates.sources.selector_texts import CounterText
from healthd_gates.sources.selectors import Selector

_SERIES = [{"__name__": "http_requests_total", "code": "200", "method": "get", "version": "2"}]
_counter: TypeAdapter[Selector] = TypeAdapter(CounterText)


@pytest.mark.parametrize(
    ("selector", "says"),
    [
        ('http_requests_total{status=~"5.."}', "no series of http_requests_total has the label status"),
        ('http_requests_total{cod=~"5.."}', "has the label cod; there are: code, method, version. Did you mean code?"),
        ('http_requests_total{code=~"5.."}', None),
        ('http_requests_total{status!="200"}', None),
        ('http_requests_total{status=~"5..|"}', None),
        ('http_requests_total{version="3"}', None),
    ],
)
def test_a_label_that_no_series_has_is_no_health(selector: str, says: str | None) -> None:
    """A value that none has yet may come; a condition that an absent label fits may be meant."""
    found = missing_label(Selector.parse(selector), _SERIES)
    assert (found is None) if says is None else (found is not None and says in found)
    assert missing_label(Selector.parse(selector), []) is None


@pytest.mark.parametrize(
    ("selector", "says"),
    [
        ('http_requests_total{version="3"}', 'no series of http_requests_total has version="3"; its values are: 2.'),
        ('http_requests_total{method="got"}', "Did you mean get?"),
        ('http_requests_total{method="get"}', None),
        ('http_requests_total{method=~"got|post"}', None),
        ('http_requests_total{method!="got"}', None),
        ('http_requests_total{other=""}', None),
    ],
)
def test_a_value_that_no_series_has_is_named(selector: str, says: str | None) -> None:
    """A pattern may wait for what has not come yet."""
    found = missing_value(Selector.parse(selector), _SERIES)
    assert (found is None) if says is None else (found is not None and says in found)
    assert missing_value(Selector.parse(selector), []) is None


@pytest.mark.parametrize(
    ("here", "other", "says"),
    [
        (("1.1.0",), "1.1.0", None),
        (("1.1.0", "1.0.1"), "1.1.0", "its values are: 1.0.1, 1.1.0. Did you mean 1.0.1?"),
        (("1.1.0", "canary"), "1.1.0", "its values are: 1.1.0, canary."),
        (("1.1.0",), "2.0.0", "its values are: 1.1.0. Did you mean 1.1.0?"),
    ],
)
def test_the_version_of_the_other_arm_is_no_slip(here: tuple[str, ...], other: str, says: str | None) -> None:
    """After a switch a target shows nothing but the candidate: the baseline was replaced there, not misspelt."""
    written = 'requests_total{version="%s"}'
    series = [{"__name__": "requests_total", "version": value} for value in here]
    found = missing_value(Selector.parse(written % "1.0.0"), series, [Selector.parse(written % other)])
    assert (found is None) if says is None else (found is not None and found.endswith(says))


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("$vers", r"labels\.vers: is needed.*by \$vers; did you mean \$version\?"),
        ("$targt", r"did you mean \$target\?"),
        ("$color", r"by \$color$"),
        ("$target", r"by \$target$"),
    ],
)
def test_a_placeholder_that_nothing_fills(written: str, says: str) -> None:
    """It may be a label of the request's own, or a slip."""
    with pytest.raises(ArmError, match=says):
        Selector.parse(f'requests_total{{version="{written}"}}').fill("candidate", Arm("2.0"))


def test_the_nearest_metric_is_named() -> None:
    selector = Selector.parse("http_request_total")
    assert missing_metric(selector, ["up", "http_requests_total"]).endswith("Did you mean http_requests_total?")
    assert missing_metric(selector, []) == "there is no metric http_request_total."


def test_buckets_are_held_against_the_limits() -> None:
    """Without +Inf nothing can be said; with too low an end, only of what is faster."""
    assert short_buckets("x_bucket", (0.1, 1.0), (0.5,))[0] != []
    assert short_buckets("x_bucket", (0.1, 1.0, inf), (0.5, 1.0)) == ([], [])
    (_, (odd,)) = short_buckets("x_bucket", (0.1, 2.5, inf), (0.5, 5.0))
    assert "end at 2.5s, below the limit of 5s" in odd
    assert short_buckets("x_bucket", (), (5.0,)) == ([], [])


@pytest.mark.parametrize(
    "name", ["job:http_requests:rate5s", "job:http_requests:irate", "http:requests:increase1h", "requests_per_second"]
)
def test_a_rate_is_no_counter(name: str) -> None:
    """Its values, followed as a counter, would be nonsense that looks like traffic."""
    with pytest.raises(ValidationError, match="is a rate by its name"):
        _counter.validate_python(name)


@pytest.mark.parametrize(
    "name", ["job:http_requests_total:sum", "http_rate_limited_total", "exchange_rate_requests_total"]
)
def test_a_counter_may_have_a_name_like_a_rate(name: str) -> None:
    assert _counter.validate_python(name).name == name


def test_a_page_whose_errors_cannot_be_told_is_not_read() -> None:
    """Half of the requests fail, and the label is called otherwise: that is not zero errors."""
    text = 'requests_total{code="200"} 5\nrequests_total{code="500"} 5\n'
    selectors = {Family.REQUESTS: Selector.parse("requests_total")}
    for label, fits in (("code", True), ("status", False)):
        both = {**selectors, Family.ERRORS: Selector.parse(f'requests_total{{{label}="503"}}')}
        if fits:
            assert read_page(text, PLAIN, 1.0, both).matched == {Family.REQUESTS}
        else:
            with pytest.raises(ValueError, match="no series of requests_total has the label status"):
                read_page(text, PLAIN, 1.0, both)


@pytest.mark.parametrize(
    ("errors", "usual"),
    [
        ('r_total{version="2",status=~"5.."}', True),
        ('r_total{version="2",status="500"}', True),
        ('r_total{version="2",status="5xx"}', True),
        ('r_total{version="2",outcome!="success"}', True),
        ('r_total{version="2",grpc_code=~"Internal|Unavailable"}', True),
        ('r_total{version="2",status="5OO"}', False),
        ('r_total{version="2",status=~"50x"}', False),
        ('r_total{version="2"}', False),
        ('errors_total{version="2",status=~"5.."}', False),
    ],
)
def test_a_good_version_has_no_series_of_errors(errors: str, usual: bool) -> None:
    """A value that no error has, or another metric, may be a slip of the pen, and is told."""
    assert merely_without_errors(Selector.parse('r_total{version="2"}'), Selector.parse(errors)) is usual
