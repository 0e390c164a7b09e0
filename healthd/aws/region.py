"""Names of AWS regions, by what the SDK ships of them: no call, and no import of the SDK."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from healthd.nearest import did_you_mean

_COMPASS = re.compile(r"(?:north|south)?(?:east|west)?|central")


def check_region(region: str | None, endpoint: str | None) -> None:
    """Check the name of a region. Raises ValueError, which names the option.

    Regions that are newer than the SDK pass when they are named as all are: a known area, a direction, a number. At an
    endpoint of one's own, such as that of a simulator or another store, any name is right.
    """
    regions, patterns = _known()
    if region is None or endpoint is not None or region in regions or not patterns:
        return
    if not region or not any(re.match(each, region) for each in patterns) or not _has_direction(region):
        raise ValueError(f"region: AWS has no {region!r}.{did_you_mean(region, regions) or ' Write eu-central-1.'}")


def _has_direction(region: str) -> bool:
    return _COMPASS.fullmatch(region.split("-")[-2]) is not None


@cache
def _known() -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the regions that the SDK knows, and the patterns of all that there may be; nothing without the SDK."""
    spec = find_spec("botocore")
    try:
        place = Path(next(iter((spec and spec.submodule_search_locations) or ())), "data/partitions.json")
        partitions = json.loads(place.read_bytes())["partitions"]
        regions = frozenset(name for each in partitions for name in each["regions"] if not name.endswith("-global"))
        return regions, tuple(each["regionRegex"] for each in partitions)
    except (StopIteration, OSError, ValueError, KeyError):
        return frozenset(), ()
