"""GitHub, as far as a deployment protection rule has to do with it: it sends a signed event, gives an app's
installation its token, and takes one review of each deployment and ten reports. It checks what it is sent.
"""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.servers.peers import Answer, Peer, Received

APP, INSTALLATION, REPOSITORY = "12345", 42, 5
SECRET = "the secret of this webhook"
_TOKEN = "ghs_16C7e42F292c6912E7710c838347Ae178B4a"
_LONGEST = 1024
_REPORTS = 10


@dataclass
class Review:
    """What one environment of one run was told."""

    state: str | None = None
    comment: str = ""
    reports: list[str] = field(default_factory=list)


class GitHub:
    """Answers on a peer. `is_down` makes it answer 502; `reviews` are by run and environment; `wrong` is what it was
    sent that it would not have taken from anyone who reads its documentation."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.is_down = False
        self.reviews: dict[tuple[str, str], Review] = {}
        self.wrong: list[str] = []
        self._key = rsa.generate_private_key(65537, 2048)
        peer.fallback = self._answer

    @property
    def private_key(self) -> str:
        """The app's, in PEM."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()

    def hook(self, **changes: Any) -> dict[str, Any]:
        """The configuration of a hook that answers to this GitHub."""
        return {
            "kind": "github",
            "secret": SECRET,
            "app": {"id": APP, "private_key": self.private_key},
            "hosts": [f"{self.peer.host}:{self.peer.port}"],
            "plain_http": True,
            **changes,
        }

    async def ask(self, url: str, run: str, *, delivery: str = "1", **changes: Any) -> int:
        """Send the event for a run; the status of the answer."""
        event = self.event(run, **changes)
        return await self.send(url, "deployment_protection_rule", json.dumps(event).encode(), delivery=delivery)

    async def send(self, url: str, event: str, body: bytes, *, secret: str = SECRET, delivery: str = "1") -> int:
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/044aadd",
            "X-GitHub-Delivery": f"72d3162e-cc78-11e3-81ab-4c9367dc09{delivery:0>2}",
            "X-GitHub-Event": event,
            "X-GitHub-Hook-Installation-Target-Type": "integration",
            "X-Hub-Signature-256": f"sha256={signature}",
        }
        limit = aiohttp.ClientTimeout(total=10)  # GitHub's own
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.post(url, data=body, headers=headers) as got,
        ):
            return got.status

    def event(self, run: str, **changes: Any) -> dict[str, Any]:
        pull_request = {"id": 1, "number": 7, "body": "x" * 30_000}  # whole pull requests come along
        return {
            "action": "requested",
            "environment": "production",
            "event": "push",
            "deployment_callback_url": f"{self.peer.url}/repos/octo/api/actions/runs/{run}/deployment_protection_rule",
            "deployment": {"id": int(run) + 1000, "sha": f"{run:0>40}", "ref": "main", "task": "deploy"},
            "pull_requests": [pull_request] * 3,
            "repository": {"id": REPOSITORY, "full_name": "octo/api", "html_url": "https://github.com/octo/api"},
            "sender": {"login": "kim", "id": 9},
            "installation": {"id": INSTALLATION},
            **changes,
        }

    def _answer(self, received: Received) -> Answer:
        if self.is_down:
            return Answer(502, body="<html>Unicorn!</html>")
        parts = received.path.strip("/").split("/")
        match parts:
            case ["app", "installations", installation, "access_tokens"]:
                return self._give_token(installation, received)
            case ["repos", "octo", "api", "actions", "runs", run, "deployment_protection_rule"]:
                return self._review(run, received)
        return self._refuse(404, f"nothing is at {received.path}")

    def _give_token(self, installation: str, received: Received) -> Answer:
        signed, _, signature = received.headers["Authorization"].removeprefix("Bearer ").rpartition(".")
        self._key.public_key().verify(_decoded(signature), signed.encode(), PKCS1v15(), SHA256())
        claims = json.loads(_decoded(signed.split(".")[1]))
        now = datetime.now(UTC)
        if claims["iss"] != APP or not claims["iat"] <= now.timestamp() < claims["exp"] <= claims["iat"] + 600:
            return self._refuse(401, "the token of the app is not valid")
        if received.json() != {"repository_ids": [REPOSITORY], "permissions": {"deployments": "write"}}:
            return self._refuse(422, "the token asked for may do more than it must")
        if installation != str(INSTALLATION):
            return self._refuse(404, "no such installation")
        return Answer(201, json={"token": _TOKEN, "expires_at": f"{now + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"})

    def _review(self, run: str, received: Received) -> Answer:
        if received.headers.get("Authorization") != f"Bearer {_TOKEN}":
            return self._refuse(401, "bad credentials")
        body = received.json()
        assert isinstance(body, dict)
        review = self.reviews.setdefault((run, body["environment_name"]), Review())
        if len(body["comment"]) > _LONGEST or set(body) - {"environment_name", "state", "comment"}:
            return self._refuse(422, "the comment is too long, or there is more than belongs here")
        if "state" not in body:
            review.reports.append(body["comment"])
            return Answer(204) if len(review.reports) <= _REPORTS else self._refuse(422, "too many reports")
        if review.state is not None and review.state != body["state"]:
            return self._refuse(422, "it was told otherwise before")
        review.state, review.comment = body["state"], body["comment"]
        return Answer(204)

    def _refuse(self, status: int, why: str) -> Answer:
        self.wrong.append(why)
        return Answer(status, json={"message": why})


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
