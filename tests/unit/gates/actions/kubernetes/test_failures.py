"""What the API server says no with: its own reason, and whether another try may mend it. The answers are those that
kube-apiserver 1.36 gave."""

import json

import pytest

from healthd.kubernetes.failures import ApiRefusal
from healthd_gates.actions.contract import Ending
from healthd_gates.actions.kubernetes.outcome import outcome_of

POLICY = (
    "deployments.apps \"api\" is forbidden: ValidatingAdmissionPolicy 'no-old' with binding 'no-old' denied request: "
    "1.0 has a known CVE"
)
RIGHTS = (
    'services "api" is forbidden: User "system:serviceaccount:healthd:healthd" cannot patch resource "services" in API '
    'group "" in the namespace "shop"'
)
QUOTA = 'pods "api-1" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3'


@pytest.mark.parametrize(
    ("code", "message", "kind", "ending", "says"),
    [
        (422, "the server rejected our request due to an error in our request", "", Ending.RETRY, "changed meanwhile"),
        (409, 'Operation cannot be fulfilled on services "api": …', "services", Ending.RETRY, "changed meanwhile"),
        (422, POLICY, "deployments", Ending.REFUSED, "answered 422: deployments.apps"),
        (422, 'Deployment.apps "api" is invalid: spec.template.labels: …', "Deployment", Ending.REFUSED, "is invalid"),
        (400, 'admission webhook "x.example.com" denied the request: frozen', "", Ending.REFUSED, "frozen"),
        (403, 'admission webhook "x.example.com" denied the request: frozen', "", Ending.REFUSED, "frozen"),
        (
            403,
            'pods "a" is forbidden: violates PodSecurity "restricted:latest": …',
            "pods",
            Ending.REFUSED,
            "restricted",
        ),
        (403, RIGHTS, "services", Ending.RETRY, "cannot patch resource"),
        (403, QUOTA, "pods", Ending.RETRY, "exceeded quota"),
        (401, "Unauthorized", "", Ending.RETRY, "answered 401: Unauthorized"),
        (404, 'services "api" not found', "services", Ending.REFUSED, 'answered 404: services "api" not found'),
        (415, "the body of the request was in an unknown format", "", Ending.REFUSED, "unknown format"),
        (500, 'Internal error occurred: failed calling webhook "x": connection refused', "", Ending.RETRY, "webhook"),
        (503, "apiserver is shutting down", "", Ending.RETRY, "shutting down"),
        (504, "request did not complete within requested timeout", "", Ending.RETRY, "did not complete"),
    ],
)
def test_a_refusal_is_told_and_sorted(code: int, message: str, kind: str, ending: Ending, says: str) -> None:
    """What the same object would meet again needs a person at once; what time or a right can mend is tried again."""
    body = json.dumps({"kind": "Status", "message": message, "details": {"kind": kind} if kind else {}}).encode()
    outcome = outcome_of(ApiRefusal.read(code, body, {}))
    assert outcome.ending is ending
    assert says in outcome.detail
    assert ("changed meanwhile" in outcome.detail) == (says == "changed meanwhile")


def test_a_server_that_asks_for_time_gets_it() -> None:
    """Priority and fairness answer 429 with the seconds."""
    assert outcome_of(ApiRefusal.read(429, b'{"message": "too many requests"}', {"Retry-After": "7"})).after == 7
    assert outcome_of(ApiRefusal.read(429, b"{}", {"Retry-After": "soon"})).after == 0


def test_an_api_that_is_not_there_answers_in_plain_text() -> None:
    """Without a Status: an Argo Rollout where Argo Rollouts is not installed."""
    outcome = outcome_of(ApiRefusal.read(404, b"404 page not found\n", {}))
    assert outcome.ending is Ending.REFUSED
    assert outcome.detail.endswith("404 page not found: the cluster does not know this kind of object")


def test_the_words_of_others_are_one_clean_line() -> None:
    """And have an end, whatever a webhook writes."""
    said = ApiRefusal.read(500, json.dumps({"message": "a\n\x1b[31m\tb" + "x" * 9000}).encode(), {}).said
    assert said.startswith("a [31m b")
    assert len(said) <= 600
    assert ApiRefusal.read(502, b"\xff\x00<html>", {}).said == "\ufffd <html>"
    assert ApiRefusal.read(500, b"[]", {}).said == ""
