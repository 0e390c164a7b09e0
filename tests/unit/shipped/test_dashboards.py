"""The Grafana dashboards as files."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import build

FILES = sorted(build.FOLDER.glob("*.json"))
named = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


@named
def test_file_is_up_to_date(file: Any) -> None:
    """What Grafana reads is what the Python files say: `make docs` has been run."""
    assert file.read_text() == build.files()[file]


@named
def test_file_fits_the_schema_of_grafana(file: Any) -> None:
    """Read into Grafana's own types and written again, nothing is lost: there is no key that Grafana does not know."""
    register_default_plugins()
    written = json.loads(file.read_text())
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(written)))
    assert list(_lost(written, again, "")) == []


def _lost(written: Any, again: Any, place: str) -> Iterator[str]:
    """Where something of the first is not in the second; defaults may have been filled in there."""
    if isinstance(written, dict) and isinstance(again, dict):
        for key, value in written.items():
            yield from _lost(value, again.get(key), f"{place}/{key}")
    elif isinstance(written, list) and isinstance(again, list) and len(written) == len(again):
        for number, (one, other) in enumerate(zip(written, again, strict=True)):
            yield from _lost(one, other, f"{place}/{number}")
    elif written != again:
        yield place


@named
def test_panels_share_no_place_and_queries_no_name(file: Any) -> None:
    """Panels lie side by side within the 24 columns; each says what it shows; its queries can be told apart."""
    panels = json.loads(file.read_text())["panels"]
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for a, b in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        assert beside or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
    for panel in panels:
        if panel["type"] != "row":
            assert panel["title"]
            assert panel["description"]
            assert max(Counter(target["refId"] for target in panel["targets"]).values()) == 1


def test_links_lead_somewhere() -> None:
    """A link from a panel names a dashboard that there is."""
    uids = {json.loads(file.read_text())["uid"] for file in FILES}
    assert len(uids) == len(FILES)
    for file in FILES:
        assert set(re.findall(r'"/d/([\w-]+)', file.read_text())) <= uids
