"""Two versions whose numbers a source cannot tell apart, as behind one address: there is no baseline."""

from typing import Any

import pytest

from healthd_gates.config.observed import ReadSource, arms_of
from healthd_gates.config.settings import Config
from healthd_gates.domain.evidence import Counts, Evidence, Lives, Stream
from healthd_gates.domain.request import Version
from healthd_gates.engine.source_readers import without_shared
from healthd_gates.sources.contract import Series
from tests.fakes.monitoring import MIDNIGHT

BAD = Counts(requests=100, errors=25)
PROBE = {"kind": "probe", "requests": [{"get": "/"}]}
SCRAPE = {"kind": "scrape", "requests": "r", "errors": "e"}
PROMETHEUS = {"kind": "prometheus", "url": "http://127.0.0.1:9", "requests": "r", "errors": "e"}
BY_VERSION = {"requests": 'r{v="$version"}', "errors": 'e{v="$version"}'}
ONE = {"here": "http://127.0.0.1:1"}
TWO = {"blue": "http://127.0.0.1:1", "green": "http://127.0.0.1:2"}
OWN = Series("own", "counts", {"of": 'o{v="$version"}', "bad": 'b{v="$version"}'})
SHARED = Series("shared", "counts", {"of": "o", "bad": "b"})


@pytest.mark.parametrize(
    ("source", "targets", "is_blind"),
    [
        (PROBE, ONE, True),
        (PROBE, TWO, False),
        (SCRAPE, ONE, True),
        (SCRAPE, TWO, False),
        ({**SCRAPE, **BY_VERSION}, ONE, False),
        (PROMETHEUS, TWO, True),
        ({**PROMETHEUS, **BY_VERSION}, ONE, False),
        ({"kind": "push"}, ONE, False),
    ],
)
def test_what_the_candidate_does_is_no_trouble_of_both(source: Any, targets: Any, is_blind: bool) -> None:
    """A version that failed a quarter of its requests was let be, for the baseline did so too: it was the same one."""
    service = Config.model_validate({"services": {"api": {"targets": targets, "source": source}}}).services["api"]
    assert service.source is not None
    places = [*targets]
    candidate, baseline = (Version(version=v, target=t) for v, t in (("2", places[-1]), ("1", places[0])))
    blind = ReadSource(None, service.source, (OWN, SHARED)).blind_to(arms_of("api", service, candidate, baseline))
    seen = Evidence(MIDNIGHT, 1.0, BAD, BAD, baseline_lives=Lives(restarts=1), streams={"own": Stream(BAD, BAD)})
    left = without_shared(seen, blind)
    assert (left.candidate, left.baseline) == (BAD, None if is_blind else BAD)
    assert left.baseline_lives == (Lives() if is_blind else seen.baseline_lives)
    assert left.streams["own"].candidate == BAD


def test_series_of_a_criterion_are_told_apart_by_themselves() -> None:
    """Where the service's own counts are not."""
    service = Config.model_validate({"services": {"api": {"targets": ONE, "source": PROMETHEUS}}}).services["api"]
    assert service.source is not None
    arms = arms_of("api", service, Version(version="2"), Version(version="1"))
    blind = ReadSource(None, service.source, (OWN, SHARED)).blind_to(arms)
    streams = {name: Stream(BAD, BAD) for name in ("own", "shared")}
    left = without_shared(Evidence(MIDNIGHT, 1.0, BAD, BAD, streams=streams), blind)
    assert {name: stream.baseline for name, stream in left.streams.items()} == {"own": BAD, "shared": None}
