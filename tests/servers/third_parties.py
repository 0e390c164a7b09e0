"""What Stripe and SendGrid answer, as their documentation shows it, for a `peers.Peer` to repeat."""

from collections.abc import Mapping

from tests.servers.peers import Answer

STRIPE_BALANCE = "/v1/balance"
SENDGRID_SCOPES = "/v3/scopes"


def stripe_balance(livemode: bool = False) -> Answer:
    amount = {"amount": 0, "currency": "usd", "source_types": {"card": 0}}
    body = {"object": "balance", "available": [amount], "livemode": livemode, "pending": [amount]}
    return Answer(json=body, headers={"Request-Id": "req_balance", "Stripe-Version": "2025-06-30.basil"})


def stripe_invalid_key() -> Answer:
    return _stripe_error(401, "invalid_request_error", "Invalid API Key provided: sk_test_****1234")


def stripe_lacks_permission() -> Answer:
    message = "The provided key 'rk_test_****1234' does not have the required permissions for this endpoint."
    return _stripe_error(403, "invalid_request_error", message, code="more_permissions_required")


def stripe_rate_limited(retry_after: int | None = None) -> Answer:
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    message = "Request rate limit exceeded."
    return _stripe_error(429, "rate_limit_error", message, code="rate_limit", headers=headers)


def stripe_broken() -> Answer:
    return _stripe_error(500, "api_error", "An error occurred while processing your request.")


def sendgrid_scopes(*scopes: str) -> Answer:
    return Answer(json={"scopes": list(scopes or ("mail.send", "alerts.read"))})


def sendgrid_invalid_key() -> Answer:
    return _sendgrid_error(401, "The provided authorization grant is invalid, expired, or revoked")


def sendgrid_forbidden() -> Answer:
    return _sendgrid_error(403, "access forbidden")


def sendgrid_rate_limited(reset_at: int) -> Answer:
    """`reset_at` is in seconds since 1970."""
    headers = {"X-RateLimit-Limit": "600", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(reset_at)}
    return _sendgrid_error(429, "too many requests", headers)


def _stripe_error(
    status: int, kind: str, message: str, *, code: str | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    error = {"message": message, "type": kind} | ({"code": code} if code else {})
    return Answer(status=status, json={"error": error}, headers=headers or {})


def _sendgrid_error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    body = {"errors": [{"field": None, "message": message}]}
    return Answer(status=status, json=body, headers=headers or {})
