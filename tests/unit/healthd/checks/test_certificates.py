"""Certificates that OpenSSL trusts and a stricter reader does not take."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from healthd.checks.contract import CheckContext
from healthd.checks.tls import TLS, TLSConfig
from healthd.model import Status
from healthd.runtime.clock import SystemClock
from tests.servers.ports import free_port

END = datetime.now(UTC).replace(microsecond=0) + timedelta(days=90)


def off_the_standard(folder: Path) -> tuple[Path, Path]:
    """A certificate whose name is a PrintableString with a star in it, as old appliances write their wildcards, and
    its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "box?example", _ASN1Type.PrintableString)])
    alternative = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(7)
    builder = builder.not_valid_before(END - timedelta(days=100)).not_valid_after(END).public_key(key.public_key())
    builder = builder.add_extension(alternative, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    issued = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    to_sign = x509.load_der_x509_certificate(issued).tbs_certificate_bytes
    odd = to_sign.replace(b"box?example", b"box*example")
    signature = key.sign(odd, ec.ECDSA(hashes.SHA256()))
    bits = b"\x03" + bytes([len(signature) + 1]) + b"\x00" + signature
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    body = odd + algorithm + bits
    der = b"\x30\x82" + len(body).to_bytes(2, "big") + body
    certificate, private = folder / "odd.crt", folder / "odd.key"
    certificate.write_text(ssl.DER_cert_to_PEM_cert(der))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, private


async def test_a_name_that_its_type_does_not_allow_hides_no_date(tmp_path: Path) -> None:
    """The date is what matters."""
    certificate, key = off_the_standard(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    served = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", free_port(), ssl=context)
    async with served:
        port = served.sockets[0].getsockname()[1]
        config = TLSConfig.model_validate(
            {"host": "127.0.0.1", "port": port, "server_name": "localhost.", "ca_file": certificate, "timeout": "20s"}
        )
        result = await TLS(config, CheckContext("tls", SystemClock(), {})).probe()
    assert result.status is Status.HEALTHY, result.message
    assert result.observed["certificateExpires"] == END.isoformat()
