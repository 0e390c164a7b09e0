"""Several hosts in an address whose servers belong to no replica set: a copied address, or a member set up anew."""

import pytest
from bson.objectid import ObjectId
from pymongo import errors
from pymongo.hello import Hello
from pymongo.server_description import ServerDescription
from pymongo.synchronous.settings import TopologySettings
from pymongo.topology_description import TopologyDescription, updated_topology_description

from healthd.checks.mongodb_client import _nobody_fits
from healthd.model import FailureKind

SEEDS = [("a", 27017), ("b", 27017)]
ALONE = {"ok": 1, "isWritablePrimary": True, "maxWireVersion": 21, "minWireVersion": 0}


def topology(*answers: tuple[str, bool]) -> TopologyDescription:
    """What the driver knows once hosts have answered as servers of their own, or did not."""
    settings = TopologySettings(seeds=SEEDS)
    unknown: dict[tuple[str, int | None], ServerDescription] = {seed: ServerDescription(seed) for seed in SEEDS}
    known = TopologyDescription(settings.get_topology_type(), unknown, None, None, None, settings)
    assert isinstance(settings._topology_id, ObjectId)
    for host, answered in answers:
        hello = Hello(ALONE) if answered else None
        error = None if answered else errors.AutoReconnect(f"{host}:27017: [Errno 111] Connection refused")
        known = updated_topology_description(known, ServerDescription((host, 27017), hello, error=error))
    return known


@pytest.mark.parametrize(
    ("answers", "kind", "said"),
    [
        ([("a", True), ("b", True)], FailureKind.MISCONFIGURED, "name one host alone"),
        ([("a", True), ("b", False)], FailureKind.CONNECT, "nobody listens on b:27017"),
    ],
    ids=["both", "one, and one that is down"],
)
def test_servers_of_their_own(answers: list[tuple[str, bool]], kind: FailureKind, said: str) -> None:
    """As the driver itself sorts them: it said that no server was found, while both answered."""
    result = _nobody_fits(topology(*answers))
    assert result is not None
    assert (result.kind, said in result.message) == (kind, True), result.message
