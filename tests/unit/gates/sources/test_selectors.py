"""Selectors are read, filled in and written without a value ever becoming syntax."""

import pytest

from healthd_gates.sources.contract import Arm, ArmError
from healthd_gates.sources.selectors import Matcher, Selector
from tests.unit.gates.sources.test_contract import HOSTILE

ARM = Arm("1.2.3", {"region": "eu-1"}, target="green")


@pytest.mark.parametrize(
    ("text", "promql"),
    [
        ("http_requests_total", "http_requests_total"),
        ("up{}", "up"),
        (" a:b { x = \"1\" , y!='2', z=~`\\d+`, } ", 'a:b{x="1",y!="2",z=~"\\\\d+"}'),
        ('up{path=~"/a\\\\.b.*$"}', 'up{path=~"/a\\\\.b.*$"}'),
        ("{\"http.server.request.duration_count\", version='2'}", '{"http.server.request.duration_count",version="2"}'),
        ('{__name__="http.server.requests",v="2"}', '{"http.server.requests",v="2"}'),
        ('up{"service.version"="2",`a b`!="x"}', 'up{"service.version"="2","a b"!="x"}'),
        ('{"up"}', "up"),
        ('up{say="a \\"b\\" }, c"}', 'up{say="a \\"b\\" }, c"}'),
    ],
)
def test_a_selector_is_written_as_it_was_meant(text: str, promql: str) -> None:
    """Reading and writing keep the meaning, whatever quotes were used; and what was written reads the same."""
    selector = Selector.parse(text)
    assert str(selector) == promql
    assert Selector.parse(str(selector)) == selector


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rate(up[5m])",
        "up[5m]",
        "up offset 5m",
        "up @ 5",
        "up or down",
        '{job="x"}',
        '{__name__=~"x"}',
        'up{"down"}',
        '{"a","b"}',
        '{""}',
        'up{"a" "b"}',
        "up{job=x}",
        'up{job="x"',
        'up{job="x" y="z"}',
        'up{job=="x"}',
        'up{job=~"("}',
        'up{job=~"\\d"}',
        'up{job="x"} or up{job="y"}',
        'up{job="x",,}',
    ],
)
def test_anything_but_a_plain_selector_is_refused(text: str) -> None:
    """Only raw counters can be counted exactly."""
    with pytest.raises(ValueError):
        Selector.parse(text)


@pytest.mark.parametrize("text", ['{__name__=~"a|b"}', '{__name__!="a",job="x"}'])
def test_several_metrics_are_not_one(text: str) -> None:
    """It is said, and how to have each counted."""
    with pytest.raises(ValueError, match="takes several metrics: name one"):
        Selector.parse(text)


def test_placeholders_stand_for_the_values_of_the_arm() -> None:
    """In a pattern a value stands for itself; a dollar sign that names nothing stays."""
    selector = Selector.parse('up{v="$version",r=~"x-$region|$target",path=~"/.*$"}').fill("candidate", ARM)
    assert str(selector) == 'up{v="1.2.3",r=~"x-eu\\\\-1|green",path=~"/.*$"}'
    assert selector.matches("up", {"v": "1.2.3", "r": "x-eu-1", "path": "/a"})


def test_a_value_in_a_pattern_matches_itself_only() -> None:
    """The dot of a version is a dot."""
    selector = Selector.parse('up{v=~"$version"}').fill("candidate", ARM)
    assert selector.matches("up", {"v": "1.2.3"})
    assert not selector.matches("up", {"v": "1x2.3"})


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_does_not_reach_a_query(value: str) -> None:
    """It is refused, with the field named."""
    with pytest.raises(ArmError, match=r"candidate\.version"):
        Selector.parse('up{v="$version"}').fill("candidate", Arm(value))


@pytest.mark.parametrize("value", [*HOSTILE, '"', "\\", "\\n", '\\"'])
def test_a_value_cannot_end_its_string(value: str) -> None:
    """Should one get past validation, it is still only a value."""
    written = str(Selector("up", (Matcher("v", "=", value), Matcher("w", "!=", "x"))))
    assert Selector.parse(written).matchers == (Matcher("v", "=", value), Matcher("w", "!=", "x"))


def test_a_label_that_the_request_lacks_is_named() -> None:
    """The person who deploys learns which field is missing and what it is for."""
    with pytest.raises(ArmError, match=r"^baseline\.labels\.zone: is needed: .* by \$zone$"):
        Selector.parse('up{zone="$zone"}').fill("baseline", ARM)


@pytest.mark.parametrize(
    ("matcher", "labels", "matches"),
    [
        (Matcher("a", "=", ""), {}, True),
        (Matcher("a", "!=", "1"), {}, True),
        (Matcher("a", "=~", "1.*"), {"a": "123"}, True),
        (Matcher("a", "=~", "1"), {"a": "123"}, False),
        (Matcher("a", "!~", "5.."), {"a": "500"}, False),
        (Matcher("a", "!~", "5.."), {"a": "200"}, True),
    ],
)
def test_matching_is_that_of_promql(matcher: Matcher, labels: dict[str, str], matches: bool) -> None:
    """A missing label is empty; a pattern is anchored at both ends."""
    assert matcher.matches(labels) is matches


@pytest.mark.parametrize(
    ("name", "per_second"),
    [
        ("istio_request_duration_milliseconds_bucket", 1e3),
        ("http_request_duration_ms_bucket", 1e3),
        ("rpc_latency_us_bucket", 1e6),
        ("http_request_duration_seconds_bucket", 1.0),
        ("http_server_duration_bucket", 1.0),
        ("rooms_bucket", 1.0),
    ],
)
def test_the_unit_of_a_histogram_is_in_its_name(name: str, per_second: float) -> None:
    assert Selector.parse(name).per_second == per_second
