"""Answer of Traefik's API about one service. Its form: doc.traefik.io/traefik/operations/api/#endpoints."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from healthd_gates.actions.traefik_file import Weights

_OrNone = BeforeValidator(lambda said: said or {})


class _Part(BaseModel):
    name: str
    weight: int | None = None


class _Weighted(BaseModel):
    services: tuple[_Part, ...] | None = None


class Service(BaseModel):
    """Service as one Traefik has it."""

    model_config = ConfigDict(populate_by_name=True)
    weighted: Annotated[_Weighted, _OrNone] = _Weighted()
    server_status: Annotated[dict[str, str], _OrNone] = Field(default={}, alias="serverStatus")
    error: tuple[str, ...] = ()

    @property
    def weights(self) -> Weights | None:
        """The weights in force, None where it is no weighted service."""
        parts = self.weighted.services
        return None if parts is None else {part.name: part.weight or 0 for part in parts}

    @property
    def errors(self) -> Sequence[str]:
        """The faults that Traefik finds in it."""
        return self.error

    @property
    def statuses(self) -> Collection[str]:
        """The status of each of its servers; none where it does not check them."""
        return self.server_status.values()


def read(said: bytes | bytearray) -> Service:
    """Return the service of an answer. Raises ValueError, with what is said of such a Traefik."""
    try:
        return Service.model_validate_json(bytes(said))
    except ValidationError:
        raise ValueError("answers with something else than Traefik's API does") from None
