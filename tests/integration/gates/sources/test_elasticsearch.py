"""What the mapping of a cluster shows of a source's queries, before a gate is judged by them."""

from __future__ import annotations

from typing import Any

import pytest

from healthd_gates.sources.inspection import InspectableSource, Inspection
from tests.integration.gates.sources.vendors import START, VENDORS, desk
from tests.servers.peers import Answer, Peer
from tests.servers.telemetry.elasticsearch import INDEX, Elasticsearch
from tests.servers.telemetry.store import Store

_VENDOR = next(each for each in VENDORS if each.kind == "elasticsearch")
_CAPABILITIES = f"/{INDEX}/_field_caps"


async def inspect(peer: Peer, mapping: dict[str, str], version: str = "2", **options: Any) -> Inspection:
    double = Elasticsearch(peer, Store(START.timestamp()))
    double.mapping |= mapping
    gate = desk(_VENDOR.config(peer, **options), edges=(0.5,), version=version)
    assert isinstance(gate.source, InspectableSource)
    try:
        return await gate.source.inspect()
    finally:
        await gate.source.close()


async def test_fields_that_are_there_are_fine(peer: Peer) -> None:
    """And every name is asked for in one call."""
    found = await inspect(peer, {}, latency=_VENDOR.latency)
    assert not found.refused
    assert all("arrived" in text for text in found.doubtful)
    assert [each.path for each in peer.received].count(_CAPABILITIES) == 1


@pytest.mark.parametrize("version", ["2", "1.4.2-rc1"])
async def test_versions_that_are_found_in_one_another_are_refused(peer: Peer, version: str) -> None:
    """A release that fails would be counted as the one before it, and the other way round."""
    found = await inspect(peer, {"version": "text", "version.keyword": "keyword"}, version)
    told = "the field version holds words (type text), so that 1.4.2 is found in 1.4.2-rc1 as well"
    assert found.refused == (f"requests: {told}: write version.keyword", f"errors: {told}: write version.keyword")


@pytest.mark.parametrize(("version", "is_refused"), [("2", False), ("v1.4.2", False), ("1.4.2-rc1", True)])
async def test_without_a_cure_in_the_query_a_single_word_is_told(peer: Peer, version: str, is_refused: bool) -> None:
    found = await inspect(peer, {"version": "text"}, version)
    told = found.refused if is_refused else found.doubtful
    assert any("requests: the field version holds words" in text and "map it as keyword" in text for text in told)
    assert bool(found.refused) is is_refused


async def test_a_field_of_errors_that_nothing_has_is_not_zero_errors(peer: Peer) -> None:
    """Every release would pass; where no name is near it may come with the first error."""
    errors = "service:shop AND version:$version AND "
    near = await inspect(peer, {"http.status_code": "long"}, errors=errors + "http.status:>=500")
    assert near.refused == ("errors: no document has a field http.status: did you mean http.status_code?",)
    far = await inspect(peer, {}, errors=errors + "_exists_:stacktrace")
    assert far.refused == ()
    assert "errors: no document has a field stacktrace" in far.doubtful


async def test_latencies_that_are_texts_are_refused(peer: Peer) -> None:
    found = await inspect(peer, {"took": "keyword"}, latency=_VENDOR.latency)
    assert found.refused == ("latency: the field took holds texts, of which 1000 comes before 5: map it as a number",)


@pytest.mark.parametrize("answer", [Answer(status=403, json={"error": "no"}), Answer(json=[]), Answer(json={})])
async def test_a_mapping_that_is_not_told_refuses_nothing(peer: Peer, answer: Answer) -> None:
    double = Elasticsearch(peer, Store(START.timestamp()))
    peer.answer("GET", _CAPABILITIES, answer)
    gate = desk(_VENDOR.config(peer))
    assert isinstance(gate.source, InspectableSource)
    found = await gate.source.inspect()
    await gate.source.close()
    assert found.refused == ()
    assert any("whether its fields are there is not known" in text for text in found.doubtful)
    assert double.store is not None
