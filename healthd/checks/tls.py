"""A TLS certificate: is it trusted for its host, and for how much longer is every certificate of its chain valid?"""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from healthd.checks.certificates import Expiries, expiries
from healthd.checks.connect import Endpoint, connect
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.expiry_limits import ExpiryLimits
from healthd.checks.host import Host
from healthd.checks.starttls import NoTLSOfferedError, StartTLS, prepare
from healthd.checks.tls_failures import TLS_FAILURES, explain_tls
from healthd.checks.trust import explain_distrust, trust
from healthd.model import FailureKind, Observed, Result
from healthd.runtime.hosts import tls_name
from healthd.units import Duration


class TLSConfig(CheckConfig, ExpiryLimits):
    kind: Literal["tls"] = "tls"
    interval: Duration = 60.0
    timeout: Duration = 5.0
    host: Host
    """Name or address of the host."""
    port: int = Field(443, ge=1, le=65535)
    """Port of the service."""
    server_name: str | None = Field(None, min_length=1)
    """Name that the certificate must be valid for, where it is not `host`."""
    ca_file: Path | None = None
    """CA file to trust instead of the system's authorities."""
    starttls: StartTLS | None = None
    """Protocol that is spoken before TLS: `smtp` or `postgres`."""


class TLS:
    """Performs one verified handshake. If it fails, a second one without verification, only to read the dates."""

    config_model: ClassVar[type[CheckConfig]] = TLSConfig

    def __init__(self, config: TLSConfig, context: CheckContext) -> None:
        self._config = config
        self._clock = context.clock
        self._endpoint = Endpoint(config.host, config.port)
        self._server_name = config.server_name or config.host
        self._writer: asyncio.StreamWriter | None = None

    async def probe(self) -> Result:
        deadline = asyncio.timeout(self._config.patience)
        try:
            async with deadline:
                return await self._look()
        except ssl.SSLCertVerificationError as error:
            kind, message = explain_distrust(error, self._server_name)
            return Result.unhealthy(kind, message, observed=await self._unverified_dates(deadline.when()))
        except NoTLSOfferedError:
            return Result.unhealthy(FailureKind.TLS, f"{self._endpoint} offers no TLS over {self._config.starttls}")
        except TimeoutError:
            patience = f"within {self._config.patience:g} s"
            return Result.unhealthy(FailureKind.TIMEOUT, f"no TLS handshake with {self._endpoint} {patience}")
        except TLS_FAILURES as error:
            return Result.unhealthy(*explain_tls(error, self._endpoint, self._server_name))
        finally:
            await self.close()

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None

    async def _look(self) -> Result:
        start = time.perf_counter()
        tls = await self._handshake(trust(self._config.ca_file))
        latency = time.perf_counter() - start
        now = self._clock.now()
        ends = expiries(tls, now)
        if ends is None:
            return Result.unhealthy(FailureKind.TLS, f"{self._endpoint} presents no certificate", latency=latency)
        return self._judge(ends, latency, {"tlsVersion": tls.version(), **ends.relied_on.observed(now)})

    async def _handshake(self, context: ssl.SSLContext) -> ssl.SSLObject:
        await self.close()
        reader, self._writer = await asyncio.open_connection(sock=await connect(self._endpoint))
        if self._config.starttls is not None:
            await prepare(self._config.starttls, reader, self._writer)
        await self._writer.start_tls(context, server_hostname=tls_name(self._server_name))
        tls: ssl.SSLObject = self._writer.get_extra_info("ssl_object")
        return tls

    async def _unverified_dates(self, end: float | None) -> Observed:
        """Return the expiry of the chain that was not trusted; nothing where even that cannot be read until `end`."""
        blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        blind.check_hostname = False
        blind.verify_mode = ssl.CERT_NONE
        try:
            async with asyncio.timeout_at(end):
                now = self._clock.now()
                ends = expiries(await self._handshake(blind), now)
        except (OSError, ValueError, NoTLSOfferedError):
            return {}
        return ends.relied_on.observed(now) if ends is not None else {}

    def _judge(self, ends: Expiries, latency: float, observed: Observed) -> Result:
        if broken := self._config.broken(ends, self._clock.now()):
            return Result(*broken, latency=latency, observed=observed)
        return Result.healthy(latency=latency, observed=observed)
