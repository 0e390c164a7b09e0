"""The strata of a split criterion, such as routes: how many are counted apart, which, and under what name.

The choice looks at traffic alone, never at outcomes: one that did would find harm by chance.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from healthd_gates.domain.evidence import Counts, Histogram

MOST = 50
"""The most strata that are counted apart; all others together are one more."""
OTHER = "other"
"""The stratum of all values beyond the most, and of requests without the label."""
_AT_START = 40  # the rest is for those that appear in the gate, such as a release's own
_LONGEST = 100
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def cleaned(value: str) -> str:
    """Return a label's value fit for a sentence, a page and the journal: callers choose paths, and with them values."""
    text = _UNFIT.sub("?", value[: _LONGEST + 1]).strip()
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


class Choice:
    """The strata that one gate counts apart: they stay once they are chosen."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = dict.fromkeys(names)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._names)

    def begin(self, traffic: Mapping[str, float]) -> None:
        """Choose those with the most requests before the gate."""
        self._add(traffic, _AT_START)

    def fold(self, *arms: Counts | None) -> tuple[Counts | None, ...]:
        """Return the counts of arms with all strata that are not chosen as one, after those with the most requests took
        the free places."""
        traffic: dict[str, float] = {}
        for counts in arms:
            for name, requests in traffic_of(counts).items() if counts is not None else ():
                traffic[name] = traffic.get(name, 0.0) + requests
        self._add(traffic, MOST if self._names else _AT_START)
        return tuple(counts and self._folded(counts) for counts in arms)

    def _add(self, traffic: Mapping[str, float], most: int) -> None:
        if len(self._names) >= most:
            return
        new = [(-requests, name) for name, requests in traffic.items() if requests > 0 and name not in self._names]
        self._names |= dict.fromkeys(name for _, name in sorted(new)[: most - len(self._names)] if name != OTHER)

    def _folded(self, counts: Counts) -> Counts:
        if not (counts.strata or counts.strata_latency):
            return counts
        strata: dict[str, tuple[float, float]] = {}
        for name, (requests, errors) in counts.strata.items():
            kept = self._kept(name)
            before = strata.get(kept, (0.0, 0.0))
            strata[kept] = (before[0] + requests, before[1] + errors)
        latencies: dict[str, list[Histogram]] = {}
        for name, latency in counts.strata_latency.items():
            latencies.setdefault(self._kept(name), []).append(latency)
        together = {name: Histogram.together(some) for name, some in latencies.items()}
        return replace(counts, strata=strata, strata_latency=together)

    def _kept(self, name: str) -> str:
        return name if name in self._names else OTHER


def traffic_of(counts: Counts) -> dict[str, float]:
    """Return the requests of each stratum: as they were counted, else by their latencies."""
    requests = {name: latency.total for name, latency in counts.strata_latency.items()}
    return requests | {name: requests for name, (requests, _) in counts.strata.items()}
