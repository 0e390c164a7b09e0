"""An OpenID Connect issuer of workload tokens, as strict as the originals.

What it keeps of them, and where that was read:

- The document is at `/.well-known/openid-configuration` below the issuer, and its `issuer` is that of the tokens
  (OpenID Connect Discovery 1.0, sections 4.1 and 4.3).
- `jwks_uri` names the keys; a key has `kid`, `kty`, `use` and `alg`; there may be keys for encryption among them
  (RFC 7517; Discovery, section 3).
- GitHub: RS256; `sub` is `repo:OWNER/NAME:ref:REF`; the claims repository, ref, environment; valid for five minutes
  (docs.github.com, OpenID Connect reference).
- GitHub: `GET $ACTIONS_ID_TOKEN_REQUEST_URL&audience=…` with a bearer token answers `{"value": …}`, 401 without it
  (docs.github.com; actions/toolkit, oidc-utils.ts).
- GitLab: `sub` is `project_path:GROUP/PROJECT:ref_type:branch:ref:NAME`; `ref_protected` is the text `"true"`
  (docs.gitlab.com, ID token authentication).
- AWS: the issuer is the account's own; RS256 or ES384, as the caller of GetWebIdentityToken asks; `sub` is the ARN of
  the role, what is AWS's own is under `https://sts.amazonaws.com/`; valid for 300 seconds unless asked otherwise
  (docs.aws.amazon.com, IAM, outbound identity federation, token claims; botocore's model of STS).
- Kubernetes: `sub` is `system:serviceaccount:NAMESPACE:NAME`, `aud` a list, and there is the member `kubernetes.io`; an
  API server answers 401 or 403 to who brings no token (kubernetes.io, service account issuer discovery).
"""

from __future__ import annotations

import time
from typing import Any

import jwt
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.servers.ports import free_port

AUDIENCE = "https://healthd.example.com"
GITHUB: dict[str, Any] = {
    "sub": "repo:acme/payments:ref:refs/heads/main",
    "repository": "acme/payments",
    "repository_owner": "acme",
    "ref": "refs/heads/main",
    "environment": "production",
}
GITLAB: dict[str, Any] = {
    "sub": "project_path:acme/payments:ref_type:branch:ref:main",
    "project_path": "acme/payments",
    "ref": "main",
    "ref_protected": "true",
}
AWS: dict[str, Any] = {
    "sub": "arn:aws:iam::123456789012:role/payments-deploy",
    "jti": "4e2c6f4e-6c5d-4a3e-9d0c-1f6c1c0f8a11",
    "https://sts.amazonaws.com/": {
        "aws_account": "123456789012",
        "source_region": "eu-west-1",
        "org_id": "o-abc1234567",
        "principal_tags": {"team": "payments", "cost/center": "7"},
        "request_tags": {"job-id": "job-2026-001"},
    },
}
KUBERNETES: dict[str, Any] = {
    "sub": "system:serviceaccount:payments:deployer",
    "aud": [AUDIENCE],
    "kubernetes.io": {"namespace": "payments", "serviceaccount": {"name": "deployer", "uid": "1"}},
}


def _rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _algorithm(private: Any) -> str:
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        return "RS256"
    return "ES384" if isinstance(private.curve, ec.SECP384R1) else "ES256"


class Issuer:
    """The issuer, on a port of its own. `asked` are the paths that were asked for."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {"one": _rsa()}
        self.others: list[dict[str, Any]] = []  # keys that it publishes too, as they are
        self.asked: list[str] = []
        self.status = 200
        self.named: str | None = None  # another issuer in the document
        self.secret: str | None = None  # token that it wants to see
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._document)
        app.router.add_get("/keys", self._published)
        app.router.add_get("/token", self._token)
        self._server = TestServer(app, port=free_port())

    async def __aenter__(self) -> Issuer:
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    def token(self, claims: dict[str, Any], key: str = "one", **changes: Any) -> str:
        """A token with these claims; a change to None leaves a claim out."""
        now = int(time.time())
        payload = {"iss": self.url, "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + 300, **claims, **changes}
        signed = {name: value for name, value in payload.items() if value is not None}
        private = self.keys.get(key) or _rsa()
        algorithm = _algorithm(private)
        return jwt.encode(signed, private, algorithm, headers={"kid": key})

    def rotate(self, curve: ec.EllipticCurve | None = None) -> None:
        self.keys = {"two": ec.generate_private_key(curve or ec.SECP256R1())}

    async def _document(self, request: web.Request) -> web.Response:
        self._admit(request)
        body = {
            "issuer": self.named or self.url,
            "jwks_uri": f"{self.url}/keys",
            "response_types_supported": ["id_token"],
        }
        return web.json_response(body, status=self.status)

    async def _published(self, request: web.Request) -> web.Response:
        self._admit(request)
        keys: list[dict[str, Any]] = [{"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}, {"kty": "RSA", "use": "enc"}]
        keys += self.others
        for name, private in self.keys.items():
            is_ec = isinstance(private, ec.EllipticCurvePrivateKey)
            made = (ECAlgorithm if is_ec else RSAAlgorithm).to_jwk(private.public_key(), as_dict=True)
            keys.append({**made, "kid": name, "use": "sig", "alg": _algorithm(private)})
        return web.json_response({"keys": keys})

    async def _token(self, request: web.Request) -> web.Response:
        """GitHub's own address for tokens, for the job that runs."""
        self.asked.append(request.path)
        if request.headers.get("Authorization") != "Bearer of-the-job" or "api-version" not in request.query:
            return web.Response(status=401)
        return web.json_response({"value": self.token(GITHUB, aud=request.query["audience"])})

    def _admit(self, request: web.Request) -> None:
        self.asked.append(request.path)
        if self.secret is not None and request.headers.get("Authorization") != f"Bearer {self.secret}":
            raise web.HTTPUnauthorized
