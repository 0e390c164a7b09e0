"""Options of a connection by TLS: whom to trust, whom to ask for, what to show. Used by checks of several protocols."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, field_validator, model_validator

from healthd.checks.trust import ClientCertificate


class ClientTLS(BaseModel):
    """Options of the client's side of TLS."""

    ca_file: Path | None = None
    """CA file to trust instead of the system's authorities."""
    server_name: str | None = None
    """Server name for TLS where the address has another."""
    client_certificate: Path | None = None
    """Certificate to show to a server that asks for one, with its intermediates: a PEM file."""
    client_key: Path | None = None
    """Key of that certificate: a PEM file, not encrypted; without one it is in the certificate's own."""

    @field_validator("server_name")
    @classmethod
    def _is_a_name(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("is empty: leave it out, or name the host that the certificate is for")
        return value

    @model_validator(mode="after")
    def _key_has_certificate(self) -> Self:
        if self.client_key is not None and self.client_certificate is None:
            raise ValueError("client_key needs the client_certificate that it belongs to")
        return self

    @property
    def client(self) -> ClientCertificate | None:
        """Certificate to show, None without one."""
        if self.client_certificate is None:
            return None
        return ClientCertificate(self.client_certificate, self.client_key)
