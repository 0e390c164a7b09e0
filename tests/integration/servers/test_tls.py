"""Certificates are good, or bad in the way they claim."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.servers import tls


async def _handshake(certificate: tls.Certificate, folder: Path, authority: tls.Authority) -> None:
    async with tls.serving(certificate, folder) as server:
        trusting = ssl.create_default_context(cafile=authority.trust)
        _, writer = await asyncio.open_connection(server.host, server.port, ssl=trusting)
        writer.close()


async def test_good_ones_are_accepted(authority: tls.Authority, tmp_path: Path) -> None:
    """A client that trusts the authority accepts what is valid now, through an intermediate too."""
    soon = timedelta(days=5)
    for certificate in (authority.good(), authority.expiring(soon), authority.intermediate_expiring(soon)):
        await _handshake(certificate, tmp_path, authority)
    leaf, intermediate = authority.intermediate_expiring(soon).not_after()
    assert intermediate < datetime.now(UTC) + soon < leaf


@pytest.mark.parametrize(
    ("flaw", "complaint"),
    [
        ("expired", "certificate has expired"),
        ("not_yet_valid", "not yet valid"),
        ("wrong_host", "Hostname mismatch"),
        ("self_signed", "self-signed certificate"),
    ],
)
async def test_bad_ones_are_refused(flaw: str, complaint: str, authority: tls.Authority, tmp_path: Path) -> None:
    """Each is refused for its own flaw."""
    certificate = tls.self_signed() if flaw == "self_signed" else getattr(authority, flaw)()
    with pytest.raises(ssl.SSLCertVerificationError, match=complaint):
        await _handshake(certificate, tmp_path, authority)


async def test_stranger_is_not_trusted(authority: tls.Authority, tmp_path: Path) -> None:
    """A certificate of another authority is refused."""
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        await _handshake(tls.Authority(stranger).good(), tmp_path, authority)
