"""Trust of TLS clients in certificates, and the explanation when verification fails. The dates are read in
`certificates`."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from healthd.model import FailureKind


class CAFileError(Exception):
    """The CA file, or the client's certificate, cannot be used."""


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """Certificate that a client shows, with its key, which may be in the same file."""

    certificate: Path
    key: Path | None = None


def trust(ca_file: Path | None, client: ClientCertificate | None = None, *protocols: str) -> ssl.SSLContext:
    """Return a client context that trusts the system's authorities, or only those of `ca_file`, and offers these
    `protocols` by ALPN (RFC 7301). It is shared, as each holds a megabyte; a changed file is read again. Raises
    CAFileError."""
    changed = _changed("ca_file", ca_file)
    if client is not None:
        changed += _changed("client_certificate", client.certificate) + _changed("client_key", client.key)
    try:
        return _context(ca_file, client, protocols, changed)
    except ssl.SSLError:
        raise CAFileError(f"ca_file {ca_file} holds no certificate in PEM") from None
    except OSError as error:
        raise CAFileError(f"ca_file {ca_file} cannot be read: {error.strerror}") from None


def _changed(option: str, file: Path | None) -> tuple[int, ...]:
    """Return when a file was changed. Raises CAFileError."""
    try:
        return () if file is None else (file.stat().st_mtime_ns,)
    except OSError as error:
        raise CAFileError(f"{option} {file} cannot be read: {error.strerror}") from None


@lru_cache(maxsize=64)
def _context(
    ca_file: Path | None, client: ClientCertificate | None, protocols: tuple[str, ...], _changed: tuple[int, ...]
) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if ca_file is not None:  # a named certificate is trusted, even an intermediate or the server's own
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as Python 3.13 does
    if client is not None:
        try:  # a password would be asked for at a terminal
            context.load_cert_chain(client.certificate, client.key, password=lambda: b"")
        except ssl.SSLError:
            fault = "are no certificate and its key in PEM, or the key is encrypted"
            raise CAFileError(f"client_certificate {client.certificate} and its key {fault}") from None
        except OSError as error:
            raise CAFileError(f"client_certificate or client_key cannot be read: {error.strerror}") from None
    return context


# By the X509_V_ERR_… codes of OpenSSL's x509_vfy.h.
_WRONG = {
    9: "is not valid yet",
    10: "has expired",
    18: "is self-signed",
    **dict.fromkeys((2, 19, 20, 21), "comes from an authority that is not trusted"),
    **dict.fromkeys((62, 64), "is for another host"),
}


def explain_distrust(error: ssl.SSLCertVerificationError, host: str) -> tuple[FailureKind, str]:
    """Return the failure kind and a line for people, for a certificate that was presented for `host`."""
    wrong = _WRONG.get(error.verify_code, f"is not trusted: {error.verify_message}")
    kind = FailureKind.EXPIRED if error.verify_code == 10 else FailureKind.TLS
    return kind, f"the certificate of {host} {wrong}"
