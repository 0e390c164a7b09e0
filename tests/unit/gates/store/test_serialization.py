"""Stored evidence is read as it was written, also by a release that knows more than the one that wrote it."""

import json
from math import inf

import pytest

from healthd_gates.domain.evidence import Counts, Events, Evidence, Histogram, Numbers, Stream, Values
from healthd_gates.store.serialization import read_evidence, write_evidence
from tests.unit.gates.judge.evidence import START

_LATENCY = Histogram((0.1, inf), (3.0, 1.0), 0.9)


@pytest.mark.parametrize(
    "numbers",
    [Counts(4, 1, _LATENCY), Counts(4, 1), Events(3.0), Events(3.0, 100.0, 2), Values((1.5e9, 0.0))],
    ids=str,
)
def test_each_kind_of_numbers_is_read_as_it_was_written(numbers: Numbers) -> None:
    evidence = Evidence(START, 5.0, streams={"own": Stream(numbers, None, gaps=1, resets=2, span=15.0)})

    assert read_evidence(write_evidence([evidence])) == [evidence]


def test_evidence_of_a_release_without_streams_is_read() -> None:
    [document] = json.loads(write_evidence([Evidence(START, 5.0, Counts(10, 1))]))["it"]
    del document["streams"]

    assert read_evidence(json.dumps({"it": [document]})) == [Evidence(START, 5.0, Counts(10, 1))]


@pytest.mark.parametrize("values", [(), (float("nan"),), (inf,)])
def test_values_are_finite_numbers(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="finite"):
        Values(values)
