"""Service of gRPC by the standard health protocol, grpc.health.v1: does it say that it serves?"""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from healthd.checks.client_tls import ClientTLS
from healthd.checks.connect import Endpoint, explain
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.grpc_call import Call, CallError, Reply
from healthd.checks.grpc_health import asking, serving_status
from healthd.checks.host import Host
from healthd.checks.http_connection import Connection, HandshakeError, open_connection
from healthd.checks.http_failures import explain_handshake
from healthd.checks.tls_failures import is_no_tls
from healthd.checks.trust import CAFileError, trust
from healthd.model import FailureKind, JSONScalar, Result
from healthd.wording import excerpt, shape

_METHOD = "/grpc.health.v1.Health/Check"
_OK, _NOT_FOUND, _UNIMPLEMENTED = 0, 5, 12
_CODES = (  # by number: github.com/grpc/grpc, doc/statuscodes.md
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
_KINDS = {4: FailureKind.TIMEOUT, 7: FailureKind.PERMISSION, 8: FailureKind.EXHAUSTED, 16: FailureKind.AUTH}
_BY_HTTP = {401: FailureKind.AUTH, 403: FailureKind.PERMISSION, 429: FailureKind.RATE_LIMITED}


def _is_ascii(secret: SecretStr) -> SecretStr:
    if not (secret.get_secret_value().isascii() and secret.get_secret_value().isprintable()):
        raise ValueError("metadata is ASCII on one line")
    return secret


def _is_free(name: str) -> str:
    if name.startswith("grpc-") or name.endswith("-bin"):
        raise ValueError("names that begin with grpc- are gRPC's own, and those that end with -bin hold binary values")
    return name


_MetadataName = Annotated[
    str,
    StringConstraints(
        pattern=shape(r"^[0-9a-z_.-]+$", "a name of metadata: lower-case letters, digits, hyphens, dots, underscores")
    ),
    AfterValidator(_is_free),
]
_MetadataValue = Annotated[SecretStr, AfterValidator(_is_ascii)]


class GRPCConfig(CheckConfig, ClientTLS):
    model_config = ConfigDict(hide_input_in_errors=True)

    kind: Literal["grpc"] = "grpc"
    host: Host
    """Name or address of the host."""
    port: int = Field(ge=1, le=65535)
    """Port of the server."""
    service: str = Field("", max_length=1000)
    """Name of the service to ask for, such as `shop.v1.Orders`; by default the server as a whole."""
    security: Literal["tls", "none"] = "tls"
    """Encryption: `tls`, or `none` at all."""
    metadata: dict[_MetadataName, _MetadataValue] = Field(default_factory=dict)
    """Metadata to send, such as `authorization`; the values are secret."""

    @model_validator(mode="after")
    def _tls_is_on(self) -> Self:
        if self.security == "none" and (of_tls := sorted(self.model_fields_set & ClientTLS.model_fields.keys())):
            raise ValueError(f"security: none leaves no use for {', '.join(of_tls)}")
        return self


class GRPC:
    """Calls `Check` of the health service over a new connection."""

    config_model: ClassVar[type[CheckConfig]] = GRPCConfig

    def __init__(self, config: GRPCConfig, context: CheckContext) -> None:
        self._config, self._clock = config, context.clock
        self._endpoint = Endpoint(config.host, config.port)
        metadata = {name: value.get_secret_value() for name, value in config.metadata.items()}
        authority = str(Endpoint(config.server_name or config.host, config.port))
        self._call = Call(_METHOD, authority, asking(config.service), metadata, config.security == "tls")
        self._connection: Connection | None = None

    async def probe(self) -> Result:
        patience, name = self._config.patience, self._config.server_name
        try:
            async with asyncio.timeout(patience):
                return await self._look(patience)
        except CallError as error:
            return Result.unhealthy(error.kind, f"{self._endpoint} {error}")
        except TimeoutError as error:
            if error.errno is not None:  # TCP itself has timed out
                return Result.unhealthy(*explain(error, self._endpoint))
            late = "accepted no connection" if self._connection is None else "did not answer"
            return Result.unhealthy(FailureKind.TIMEOUT, f"{self._endpoint} {late} within {patience:g} s")
        except HandshakeError as error:
            kind, text = explain_handshake(error, self._endpoint, name)
            return Result.unhealthy(kind, f"{text}; security: none?" if is_no_tls(error.__cause__) else text)
        except CAFileError as error:
            return Result.unhealthy(FailureKind.MISCONFIGURED, str(error))
        except OSError as error:
            kind, text = explain(error, self._endpoint)
            hung_up = isinstance(error, ConnectionResetError) and self._connection is None and self._call.is_tls
            return Result.unhealthy(kind, f"{text}; security: none, or client_certificate?" if hung_up else text)
        finally:
            await self.close()

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    async def _look(self, patience: float) -> Result:
        start, config = time.perf_counter(), self._config
        tls = trust(config.ca_file, config.client, "h2") if config.security == "tls" else None
        connection = self._connection = await open_connection(self._endpoint, tls, config.server_name)
        reply = await self._call.over(connection, patience)
        latency = time.perf_counter() - start
        observed: dict[str, JSONScalar | list[str]] = {}
        if connection.expiry is not None:
            observed |= connection.expiry.observed(self._clock.now())
        if (refused := self._refusal(reply)) is not None:
            kind, text = refused
            return Result.unhealthy(kind, f"{self._endpoint} {text}", latency=latency, observed=observed)
        status = observed["servingStatus"] = serving_status(reply.message)
        if status == "SERVING":
            return Result.healthy(latency=latency, observed=observed)
        what = f"the service {config.service}" if config.service else "itself"
        text = f"{self._endpoint} says of {what}: {status}"
        return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, text, latency=latency, observed=observed)

    def _refusal(self, reply: Reply) -> tuple[FailureKind, str] | None:
        """Return the failure kind of an answer other than OK, and what it says, to be put after the server's name."""
        code = reply.code
        if code is None:
            kind = _BY_HTTP.get(reply.status, FailureKind.UNEXPECTED_RESPONSE)
            return kind, f"answers with HTTP {reply.status}, and not by gRPC"
        if code == _NOT_FOUND:
            return FailureKind.MISCONFIGURED, f"knows no service {self._config.service!r}"
        if code == _UNIMPLEMENTED:
            return FailureKind.MISCONFIGURED, "does not offer the health service, grpc.health.v1.Health"
        if code == _OK:
            return None
        name = _CODES[code] if code < len(_CODES) else str(code)
        # With metadata the text is left out, which may repeat what it was sent.
        said = f": {excerpt(reply.text)}" if reply.text and not self._config.metadata else ""
        return _KINDS.get(code, FailureKind.UNEXPECTED_RESPONSE), f"answers {name}{said}"
