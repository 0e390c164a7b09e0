"""A criterion that no source of the service can answer is refused by name, when the configuration is read."""

from datetime import UTC, datetime
from typing import Any

import pytest

from healthd_gates.config.policy import Policy
from healthd_gates.config.settings import Config
from healthd_gates.domain.errors import InvalidRequest
from healthd_gates.domain.request import VerifyRequest, Version
from healthd_gates.engine.validation import validate

PROMETHEUS = {"kind": "prometheus", "url": "http://127.0.0.1:9", "requests": 'r{v="$version"}', "errors": "e"}
PROBE = {"kind": "probe", "requests": [{"get": "/", "status": 200}]}
TARGETS = {"blue": ["http://127.0.0.1:3000"]}
RATIO = {"kind": "ratio", "name": "checkouts", "bad": "b", "of": "a", "limit": "2%"}


def config(criterion: dict[str, Any], **service: Any) -> Config:
    return Config.model_validate(
        {
            "services": {"api": {"targets": TARGETS, "policy": "mine", **service}},
            "policies": {"mine": {"criteria": [criterion]}},
        }
    )


@pytest.mark.parametrize(
    ("criterion", "service", "problem"),
    [
        (
            RATIO,
            {"source": PROBE},
            "criterion checkouts: a source of kind probe has no series .*; access_log, .* and sql have",
        ),
        ({**RATIO, "source": "shpo"}, {"sources": {"shop": PROMETHEUS}}, "names 'shpo'.*shop"),
        ({**RATIO, "of": "sum(a)"}, {"source": PROMETHEUS}, "criterion checkouts: of: .*is not a vector selector"),
        (
            {**RATIO, "bad": "b:rate5m"},
            {"source": PROMETHEUS},
            "criterion checkouts: bad: b:rate5m is a rate by its name",
        ),
        (
            {**RATIO, "compare": {"to": "concurrent"}},
            {"source": PROMETHEUS},
            "checkouts: it compares two versions, and nothing in of and bad tells them apart",
        ),
        (
            {"kind": "error_rate", "by": "route"},
            {"source": PROBE},
            "a source of kind probe does not count requests by a label; access_log, otlp, .* and scrape do",
        ),
        (
            {"kind": "error_rate", "by": "v"},
            {"source": {**PROMETHEUS, "requests": 'r{v="$version"}'}},
            'criterion error_rate: by: v splits nothing, since the source selects v="\\$version" alone',
        ),
        (
            {"kind": "latency", "by": "route"},
            {"source": PROBE},
            "kind probe does not count requests by a label; access_log, otlp, prometheus, push and scrape do",
        ),
        (
            {"kind": "latency", "by": "v"},
            {"source": {**PROMETHEUS, "latency": 'r_bucket{v="$version"}'}},
            'criterion latency: by: v splits nothing, since the source selects v="\\$version" alone',
        ),
        (
            {"kind": "error_rate", "by": "my route"},
            {"source": PROMETHEUS},
            "must be the name of a label|should match pattern",
        ),
        (
            {"kind": "mean_latency", "limit": "1s"},
            {"source": {"kind": "loki", "url": "http://127.0.0.1:9", "requests": "{a='b'}", "errors": "{a='c'}"}},
            "criterion mean_latency: it reads the sum of all response times, which a source of kind loki does not have",
        ),
        ({"kind": "error_rate", "source": "x"}, {"source": PROMETHEUS}, "criterion error_rate: source names 'x'"),
    ],
)
def test_it_is_refused_by_name(criterion: dict[str, Any], service: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        config(criterion, **service)


def test_a_source_is_split_by_one_label() -> None:
    """Two criteria may split it alike; two labels are refused, with both names."""
    by = [{"kind": "error_rate", "name": f"by-{label}", "by": label} for label in ("route", "route", "tenant")]
    document = {"criteria": [by[0], {**by[1], "name": "again"}]}
    assert len(Policy.model_validate(document).criteria) == 2
    with pytest.raises(ValueError, match="criterion by-tenant splits by tenant, and by-route by route: a source is"):
        Policy.model_validate({"criteria": [by[0], by[2]]})


def test_the_first_of_several_sources_has_the_traffic() -> None:
    service = config(RATIO, sources={"shop": PROMETHEUS, "edge": PROBE}).services["api"]
    assert service.traffic_source is service.sources["shop"]
    assert config(RATIO, source=PROMETHEUS).services["api"].traffic_source is not None


def test_another_policy_that_a_hook_names_is_told() -> None:
    raw = {
        "services": {"api": {"targets": TARGETS, "source": PROBE, "policy": "smoke"}},
        "policies": {"mine": {"criteria": [RATIO]}},
        "hooks": {"flagger": {"kind": "flagger", "canaries": {"shop/api": {"service": "api", "policy": "mine"}}}},
    }
    assert any("services.api: policy mine: criterion checkouts:" in note for note in Config.model_validate(raw).notes)


@pytest.mark.parametrize(
    ("criterion", "problem"),
    [
        ({**RATIO, "of": 'a{zone="$zone"}'}, "candidate.labels.zone"),
        ({**RATIO, "source": "shop", "of": 'a{zone="$zone"}'}, "candidate.labels.zone"),
        ({"kind": "error_rate", "source": "shop", "compare": {}}, "the source shop counts the same requests"),
    ],
)
def test_a_request_that_lacks_what_a_source_needs_is_refused(criterion: dict[str, Any], problem: str) -> None:
    """Before anything is switched, whichever source it is."""
    same = {**PROMETHEUS, "requests": "r"}
    configured = config(criterion, source=PROMETHEUS, sources={"shop": same})
    asked = VerifyRequest(service="api", candidate=Version(version="2"), baseline=Version(version="1"))
    with pytest.raises(InvalidRequest, match=problem):
        validate(asked, configured, caller="ci", key=None, replica="r", moment=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("inconclusive", ["fail", "hold", "pass"])
def test_a_gate_that_could_never_pass_is_not_begun(inconclusive: str) -> None:
    """Its source measures no latency: it would be waited for until its time is over, after the switch. Where such a
    gate counts as passed it may begin."""
    latency = {"kind": "latency", "quantile": 0.95, "limit": "1s"}
    policy = {"criteria": [{"kind": "error_rate", "limit": "5%"}, latency], "inconclusive": inconclusive}
    service = {"targets": TARGETS, "policy": "mine", "source": PROMETHEUS}
    asked = Config.model_validate({"services": {"api": service}, "policies": {"mine": policy}})
    request = VerifyRequest(service="api", candidate=Version(version="2"))

    def begin() -> None:
        validate(request, asked, caller="ci", key=None, replica="r", moment=datetime.now(UTC))

    if inconclusive == "pass":
        begin()
        return
    with pytest.raises(InvalidRequest, match="mine has a criterion of latency, and the source has no `latency`: name"):
        begin()


def test_all_that_a_request_lacks_is_told_at_once() -> None:
    """One fault of each field: what else is wrong with a field may be caused by the first."""
    latency = {"kind": "latency", "quantile": 0.95, "limit": "1s"}
    policy = {"criteria": [{"kind": "error_rate", "limit": "5%", "compare": {}}, latency]}
    service = {"targets": TARGETS, "policy": "mine", "source": PROMETHEUS}
    asked = Config.model_validate({"services": {"api": service}, "policies": {"mine": policy}})
    request = VerifyRequest(service="api", candidate=Version(version="2", target="blu"))
    with pytest.raises(InvalidRequest) as refused:
        validate(request, asked, caller="ci", key=None, replica="r", moment=datetime.now(UTC))
    told = str(refused.value).split("; ")
    fields = [
        part.partition(":")[0] for part in told if part.partition(":")[0] in ("baseline", "policy", "candidate.target")
    ]
    assert fields == ["baseline", "policy", "candidate.target"], told
    assert "there are: blue" in str(refused.value)
