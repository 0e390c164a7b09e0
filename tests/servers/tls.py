"""Certificates, good and bad, and a TLS server that presents one.

All are for `localhost` and 127.0.0.1 unless that is what is wrong with them. `Authority.trust` is the file that a
client must trust to accept the good ones.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from tests.servers.ports import HOST
from tests.servers.streams import listening

_NAMES = ("localhost", HOST)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """A private key and the certificates presented with it, the server's own first, in PEM."""

    key: bytes
    chain: tuple[bytes, ...]

    def save(self, folder: Path, name: str = "server") -> tuple[Path, Path]:
        """Write them to `folder`; the paths of the chain and of the key, as servers want them."""
        chain, key = folder / f"{name}.crt", folder / f"{name}.key"
        chain.write_bytes(b"".join(self.chain))
        key.write_bytes(self.key)
        return chain, key

    def context(self, folder: Path) -> ssl.SSLContext:
        """For a server of this process; the files go to `folder`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.save(folder))
        return context

    def not_after(self) -> tuple[datetime, ...]:
        """When each certificate of the chain expires, in the chain's order."""
        return tuple(x509.load_pem_x509_certificate(pem).not_valid_after_utc for pem in self.chain)


class Authority:
    """A certificate authority of the tests' own."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.trust = folder / "ca.crt"
        self._ca.cert_pem.write_to_path(str(self.trust))

    def good(self) -> Certificate:
        """Valid for a year."""
        return self._issue(*_NAMES, until=365 * _DAY)

    def expired(self) -> Certificate:
        """Since yesterday."""
        return self._issue(*_NAMES, until=-_DAY)

    def expiring(self, after: timedelta) -> Certificate:
        """Valid for a year, of which `after` is left."""
        return self.of_lifetime(365 * _DAY, left=after)

    def of_lifetime(self, lifetime: timedelta, *, left: timedelta) -> Certificate:
        """Valid for `lifetime`, of which so much is left."""
        return self._issue(*_NAMES, since=left - lifetime, until=left)

    def not_yet_valid(self) -> Certificate:
        """From tomorrow on."""
        return self._issue(*_NAMES, since=_DAY, until=365 * _DAY)

    def wrong_host(self) -> Certificate:
        """For somebody else's name."""
        return self._issue("elsewhere.example", until=365 * _DAY)

    def intermediate_expiring(self, after: timedelta) -> Certificate:
        """Good for a year itself, but signed by an intermediate authority that expires first."""
        child = self._ca.create_child_ca()
        leaf = child.issue_cert(*_NAMES, not_after=datetime.now(UTC) + 365 * _DAY)
        intermediate = x509.load_pem_x509_certificate(child.cert_pem.bytes())
        root = x509.load_pem_x509_certificate(self._ca.cert_pem.bytes())
        signer = self._ca.private_key_pem.bytes()
        sooner = _sign_again(intermediate, signer, root.subject, until=after, lifetime=365 * _DAY)
        return Certificate(leaf.private_key_pem.bytes(), (leaf.cert_chain_pems[0].bytes(), sooner))

    def _issue(self, *names: str, until: timedelta, since: timedelta = -30 * _DAY) -> Certificate:
        now = datetime.now(UTC)
        issued = self._ca.issue_cert(*names, not_before=now + since, not_after=now + until)
        return Certificate(issued.private_key_pem.bytes(), tuple(pem.bytes() for pem in issued.cert_chain_pems))


def self_signed() -> Certificate:
    """Signed with its own key: nobody vouches for it."""
    issued = trustme.CA().issue_cert(*_NAMES)
    leaf = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
    key = issued.private_key_pem.bytes()
    return Certificate(key, (_sign_again(leaf, key, leaf.subject, until=365 * _DAY),))


@dataclass(frozen=True)
class TLSServer:
    """A listener that completes a handshake and says nothing more."""

    port: int
    host: str = "localhost"


@asynccontextmanager
async def serving(certificate: Certificate, folder: Path) -> AsyncIterator[TLSServer]:
    """A TLS server that presents `certificate`; its files go to `folder`."""
    async with listening(_stay_silent, certificate.context(folder)) as port:
        yield TLSServer(port)


async def _stay_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


def _sign_again(
    certificate: x509.Certificate, key: bytes, issuer: x509.Name, until: timedelta, lifetime: timedelta = 366 * _DAY
) -> bytes:
    """The same certificate with another signature, issuer, beginning and end, in PEM."""
    now = datetime.now(UTC)
    signer = load_pem_private_key(key, password=None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    builder = x509.CertificateBuilder(
        issuer,
        certificate.subject,
        certificate.public_key(),
        x509.random_serial_number(),
        now + until - lifetime,
        now + until,
    )
    for extension in certificate.extensions:
        if not isinstance(extension.value, x509.AuthorityKeyIdentifier) or issuer != certificate.subject:
            builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM)
