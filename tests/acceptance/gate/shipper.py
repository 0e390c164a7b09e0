"""A log shipper: hands what the load generator wrote to a gate whose source is `push`."""

import asyncio

from healthd_gates.client.transport import Refused
from tests.acceptance.gate.desk import NEW, Desk
from tests.acceptance.gate.load import Served
from tests.acceptance.gate.shop import EDGES

_EVERY = 0.5  # seconds


async def ship(desk: Desk, service: str, shop: str) -> list[Served]:
    """Push all that the new version of a shop serves to the service's gate until its verdict; what was taken."""
    gate_id, read = (await desk.gate_of(service))["id"], len(desk.log.all())
    taken: list[Served] = []
    async with desk.client() as client:
        while True:
            await asyncio.sleep(_EVERY)
            fresh, read = desk.log.all()[read:], len(desk.log.all())
            served = [one for one in fresh if (one.shop, one.version) == (shop, NEW)]
            if not served:
                continue
            try:
                await client.push(gate_id, {"candidate": _counts(served)})
            except Refused:  # it has its verdict
                return taken
            taken += served


def _counts(served: list[Served]) -> dict[str, object]:
    below = [sum(one.seconds <= edge for one in served) for edge in EDGES]
    counts = [high - low for low, high in zip([0, *below], [*below, len(served)], strict=True)]
    return {
        "requests": len(served),
        "errors": sum(one.status >= 500 for one in served),
        "latency": {"edges": EDGES, "counts": counts},
    }
