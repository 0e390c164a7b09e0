"""Pipelines and pods that identify themselves by a token of their platform."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from healthd.config.auth import Auth
from tests.fakes.issuer import AUDIENCE, AWS, GITHUB, GITLAB, KUBERNETES, Issuer
from tests.unit.healthd.web.conftest import Client, Open, Site

RUN = "/checks/db/run"


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with Issuer() as running:
        yield running


def identity(issuer: Issuer, **changes: Any) -> dict[str, Any]:
    claims = {"repository": "acme/payments", "ref": ["refs/heads/main", "refs/tags/*"]}
    made = {"name": "payments", "issuer": issuer.url, "audience": AUDIENCE, "claims": claims, "role": "operator"}
    return made | changes


async def run(client: Client, token: str) -> tuple[int, str]:
    answer = await client.post(RUN, headers={"Authorization": f"Bearer {token}"})
    return answer.status, (await answer.json(content_type=None)).get("detail", "")


async def opened(open_site: Open, *identities: dict[str, Any], **options: Any) -> tuple[Site, Client]:
    return await open_site(auth={"identities": list(identities), **options})


@pytest.mark.parametrize(
    ("claims", "wanted"),
    [
        (GITHUB, {"repository": "acme/payments"}),
        (GITHUB, {"sub": "repo:acme/payments:ref:*", "environment": ["staging", "production"]}),
        (GITLAB, {"project_path": "acme/*", "ref_protected": "true"}),
        (KUBERNETES, {"sub": "system:serviceaccount:payments:deployer"}),
        (KUBERNETES, {"kubernetes.io/namespace": "payments", "kubernetes.io/serviceaccount/name": "deployer"}),
        (AWS, {"sub": "arn:aws:iam::123456789012:role/payments-*", "https://sts.amazonaws.com//aws_account": "1234*"}),
        (AWS, {"https://sts.amazonaws.com//principal_tags/team": "payments"}),
        (AWS, {"https://sts.amazonaws.com//principal_tags/cost/center": "7"}),
        ({**GITHUB, "groups": ["a", "b"], "admin": True, "id": 7}, {"groups": "b", "admin": "true", "id": "7"}),
    ],
)
async def test_who_has_the_claims_comes_in(
    open_site: Open, issuer: Issuer, claims: dict[str, Any], wanted: dict[str, Any]
) -> None:
    """GitHub Actions, GitLab CI, Kubernetes, AWS; two documents are fetched once for all of them."""
    _, client = await opened(open_site, identity(issuer, claims=wanted))
    answers = await asyncio.gather(*(run(client, issuer.token(claims)) for _ in range(5)))
    assert answers == [(200, "")] * 5
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]


@pytest.mark.parametrize(
    "strange",
    [
        {"kty": "EC", "crv": "BP-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "X25519", "x": "AAAA"},
        {"kty": "RSA", "n": 5, "e": "AQAB"},
        {"kty": "RSA", "alg": "RSA-OAEP", "n": "AQAB", "e": "AQAB"},
    ],
)
async def test_a_key_that_nobody_here_can_use_takes_nothing_from_the_others(
    open_site: Open, issuer: Issuer, strange: dict[str, Any]
) -> None:
    issuer.others.append({"kid": "strange", **strange})
    _, client = await opened(open_site, identity(issuer))
    assert await run(client, issuer.token(GITHUB)) == (200, "")


async def test_aws_signs_by_es384_too(open_site: Open, issuer: Issuer) -> None:
    """As the caller asks; another account has another issuer, and what the caller wrote is no tag of the role."""
    issuer.rotate(ec.SECP384R1())
    tag = "https://sts.amazonaws.com//principal_tags/team"
    _, client = await opened(open_site, identity(issuer, claims={tag: "payments"}))
    assert (await run(client, issuer.token(AWS, key="two")))[0] == 200
    assert (await run(client, issuer.token({**AWS, "https://sts.amazonaws.com/": {}}, key="two")))[0] == 401
    asked = {
        **AWS,
        "https://sts.amazonaws.com/": {"request_tags": {"principal_tags/team": "payments", "team": "payments"}},
    }
    assert (await run(client, issuer.token(asked, key="two")))[0] == 401
    status, detail = await run(client, issuer.token(AWS, key="two", iss="https://other.tokens.sts.global.api.aws"))
    assert (status, detail.endswith("its issuer is none of those under auth.identities")) == (401, True)


def _unsigned(token: str) -> str:
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).decode().rstrip("=")
    return f"{header}.{token.split('.')[1]}."


async def test_others_do_not(open_site: Open, issuer: Issuer) -> None:
    """Each refusal says what is wrong with the token, to the one who has it."""
    _, client = await opened(open_site, identity(issuer))
    now = int(time.time())
    good = issuer.token(GITHUB)
    public = issuer.keys["one"].public_key()
    cases: dict[str, dict[str, Any]] = {
        "it is none of those under auth.identities: ref is 'refs/heads/evil'": {"ref": "refs/heads/evil"},
        "it is none of those under auth.identities: repository is missing": {"repository": None},
        f"it is for another audience; ask for one for {AUDIENCE}": {"aud": "https://github.com/acme"},
        "it has expired": {"exp": now - 60},
        "it does not hold: The token is not yet valid (nbf)": {"nbf": now + 600},
        'it does not hold: Token is missing the "exp" claim': {"exp": None},
        'it does not hold: Token is missing the "sub" claim': {"sub": None},
        "its issuer is none of those under auth.identities": {"iss": "https://evil.example"},
    }
    for said, changes in cases.items():
        status, detail = await run(client, issuer.token({**GITHUB, **changes}))
        assert (status, detail.removeprefix("this token of another platform is not accepted: ")[: len(said)]) == (
            401,
            said,
        )
    n = public.public_numbers().n
    confused = jwt.encode({"iss": issuer.url, "aud": AUDIENCE, "sub": "x"}, str(n), "HS256", headers={"kid": "one"})
    shared = jwt.encode({"iss": issuer.url, "sub": "x"}, "secret" * 8, "HS256", headers={"kid": "shared"})
    head, body, signature = good.split(".")
    forged = base64.urlsafe_b64encode(json.dumps({**GITHUB, "iss": issuer.url}).encode()).decode().rstrip("=")
    for token in (
        _unsigned(good),
        confused,
        shared,
        f"{head}.{forged}.{signature}",
        f"{head}.{body}.",
        issuer.token(GITHUB, key="unknown"),
        f"{head}.{'A' * 5000}.{signature}",
        "ey..",
        "ey" + "x" * 3000 + "..",
    ):
        assert (await run(client, token))[0] == 401
    assert (await run(client, good))[0] == 200


async def test_it_is_bound_and_the_first_that_fits_counts(open_site: Open, issuer: Issuer) -> None:
    """As a token is: by checks, and by environments."""
    claims = {"repository": "acme/payments"}
    elsewhere = identity(issuer, name="elsewhere", claims=claims, environments=["production"])
    bound = identity(issuer, name="bound", claims=claims, checks=["mail"])
    _, client = await opened(open_site, elsewhere, bound)
    status, detail = await run(client, issuer.token(GITHUB))
    assert (status, detail.startswith("token 'bound/repo:acme/payments:ref:refs/heads/main' may not")) == (403, True)


async def test_keys_are_changed_and_an_issuer_is_down(open_site: Open, issuer: Issuer) -> None:
    """A new key is fetched when it is first met, not more often than every 15 seconds whatever strangers present; keys
    outlive an issuer that does not answer by a day, and health needs neither."""
    site, client = await opened(open_site, identity(issuer))
    issuer.status = 500
    status, detail = await run(client, issuer.token(GITHUB))
    assert (status, "answers 500" in detail) == (503, True)
    issuer.status = 200
    assert (await run(client, issuer.token(GITHUB)))[0] == 503
    assert len(issuer.asked) == 1
    site.clock.seconds += 20
    assert (await run(client, issuer.token(GITHUB)))[0] == 200
    old = issuer.token(GITHUB)
    issuer.rotate()
    site.clock.seconds += 20
    assert (await run(client, issuer.token(GITHUB, key="two")))[0] == 200
    assert (await run(client, old))[0] == 401
    for _ in range(5):
        assert (await run(client, issuer.token(GITHUB, key="unknown")))[0] == 401
    assert len(issuer.asked) == 5
    issuer.status = 500
    site.clock.seconds += 3600
    assert (await run(client, issuer.token(GITHUB, key="two")))[0] == 200
    site.clock.seconds += 86400
    assert (await run(client, issuer.token(GITHUB, key="two")))[0] == 503
    assert (await client.get("/health/live", headers={"Authorization": f"Bearer {old}"})).status == 200


async def test_a_document_of_another_issuer_is_refused(open_site: Open, issuer: Issuer) -> None:
    issuer.named = "https://other.example"
    _, client = await opened(open_site, identity(issuer))
    assert await run(client, issuer.token(GITHUB)) == (
        503,
        f"the keys of {issuer.url} are not known: its discovery document names the issuer 'https://other.example'",
    )


async def test_an_api_server_wants_a_token_for_its_keys(open_site: Open, issuer: Issuer, tmp_path: Path) -> None:
    """It is read from its file each time: Kubernetes renews it."""
    issuer.secret = "of-the-pod"
    file = tmp_path / "token"
    file.write_text("of-the-pod\n")
    _, client = await opened(open_site, identity(issuer, claims={"sub": "system:*"}, token_file=str(file)))
    assert (await run(client, issuer.token(KUBERNETES)))[0] == 200


async def test_tokens_of_the_configuration_are_as_before(open_site: Open, issuer: Issuer) -> None:
    """And neither is taken for the other."""
    site, client = await open_site()
    assert (await run(client, issuer.token(GITHUB)))[0] == 401
    assert (await run(client, "runner-token"))[0] == 200
    assert issuer.asked == []
    assert site.windows.all() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"claims": {}}, "at least 1 item"),
        ({"claims": {"repository": "*"}}, "lets in every token of this issuer"),
        ({"issuer": "http://token.example.com"}, "must begin with https://"),
        ({"issuer": "token.example.com"}, "must begin with https://: write https://token.example.com"),
        ({"issuer": "https://user:secret@example.com"}, "write the issuer as its tokens name it"),
        ({"role": None}, "grants nothing"),
        ({"name": "same"}, "two tokens, identities or people have the same name"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes: dict[str, Any], said: str) -> None:
    made = {"name": "x", "issuer": "https://a.example", "audience": "b", "claims": {"sub": "c"}, "role": "viewer"}
    same = {"name": "same", "hash": "sha256:" + 64 * "0", "role": "viewer"}
    with pytest.raises(ValueError, match=said):
        Auth.model_validate({"tokens": [same], "identities": [made | changes]})
