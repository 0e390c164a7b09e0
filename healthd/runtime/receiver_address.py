"""Address of a receiver in which any part may be the key: its host, a segment of its path, a value of its query."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote

from pydantic import SecretStr

from healthd.runtime.secret_forms import is_key


class ReceiverAddress(SecretStr):
    """Secret address, such as `tgram://TOKEN/CHAT`, whose parts are secrets too: services repeat them alone."""

    @property
    def secrets(self) -> Iterable[str]:
        """The address, its password, and each part that looks like a key. A host with a dot is a name that people
        need."""
        address = self.get_secret_value()
        _, _, rest = address.partition("://")
        place, _, query = rest.partition("?")
        authority, _, path = place.partition("/")
        userinfo, _, host = authority.rpartition("@")
        parts = [userinfo, *userinfo.split(":"), *path.split("/")]
        parts += [host, *host.split(":")] * ("." not in host)
        parts += [value for _, _, value in (pair.partition("=") for pair in query.split("&"))]
        yield from (address, rest, userinfo.partition(":")[2])
        yield from (part for part in parts if is_key(unquote(part)))
