"""A token server on a `peer`, strict about client credentials.

Facts of RFC 6749 that it keeps: a POST with a form (4.4.2, 3.2) in which nothing stands twice (3.2); the client by
basic authentication, both parts encoded as in a form first, or in the body, never both (2.3, 2.3.1); a scope with
spaces between (3.3); the answer names token_type and expires_in and is not to be stored (5.1); refusals are 400, or 401
with WWW-Authenticate for a client that used that header, with an `error` of the list (5.2).
"""

import base64
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote_plus

from tests.servers.peers import Answer, Peer, Received


@dataclass
class TokenServer:
    """Gives tokens of a client, each once: `token-1`, `token-2`, …"""

    client_id: str
    client_secret: str
    scopes: frozenset[str] = frozenset()
    lasts: int | None = 3600
    given: list[str] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)

    def serve(self, peer: Peer, path: str = "/token") -> None:
        peer.answer("POST", path, self._answer)

    def _answer(self, request: Received) -> Answer:
        pairs = parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True)
        form = dict(pairs)
        if request.headers.get("Content-Type") != "application/x-www-form-urlencoded" or len(form) != len(pairs):
            return _refused(400, "invalid_request")
        login = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}"
        basic = f"Basic {base64.b64encode(login.encode()).decode()}"
        sent = request.headers.get("Authorization")
        if sent is not None and "client_secret" in form:
            return _refused(400, "invalid_request")
        if sent is not None and sent != basic:
            return _refused(401, "invalid_client", **{"WWW-Authenticate": "Basic"})
        if sent is None and (form.get("client_id"), form.get("client_secret")) != (self.client_id, self.client_secret):
            return _refused(400, "invalid_client")
        if form.get("grant_type") != "client_credentials":
            return _refused(400, "unsupported_grant_type")
        if not set(form.get("scope", "").split()) <= self.scopes:
            return _refused(400, "invalid_scope")
        self.forms.append(form)
        self.given.append(f"token-{len(self.given) + 1}-MARK")
        lasts = {} if self.lasts is None else {"expires_in": self.lasts}
        body = {"access_token": self.given[-1], "token_type": "bearer", **lasts}
        return Answer(json=body, headers={"Cache-Control": "no-store"})


def _refused(status: int, error: str, **headers: str) -> Answer:
    return Answer(status, json={"error": error, "error_description": "never shown"}, headers=headers)
