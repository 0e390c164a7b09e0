"""Map errors of AWS and its SDK to a failure kind and a line for people. The lines hold no part of a request."""

from __future__ import annotations

import aiohttp
from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError
from yarl import URL

from healthd.checks.aiohttp_failures import explain_aiohttp
from healthd.checks.connect import Endpoint
from healthd.checks.proxy_failures import explain_proxy
from healthd.http.outgoing import Proxy
from healthd.model import FailureKind

# KeyError and IndexError: an answer that can be parsed but lacks what the API promises.
AWSError = (sdk.BotoCoreError, sdk.ClientError, ResponseParserError, KeyError, IndexError)

_AUTH = {
    "AuthFailure", "ExpiredToken", "ExpiredTokenException", "IncompleteSignature", "InvalidAccessKeyId",
    "InvalidClientTokenId", "InvalidToken", "MissingAuthenticationToken", "RequestExpired", "RequestTimeTooSkewed",
    "SignatureDoesNotMatch", "UnrecognizedClientException",
}  # fmt: skip
_PERMISSION = {"AccessDenied", "AccessDeniedException", "OptInRequired", "UnauthorizedOperation"}
_RATE_LIMITED = {
    "RequestLimitExceeded", "RequestThrottled", "SlowDown", "Throttling", "ThrottlingException",
    "TooManyRequestsException",
}  # fmt: skip
_NO_CREDENTIALS = (
    sdk.CredentialRetrievalError,
    sdk.NoCredentialsError,
    sdk.PartialCredentialsError,
    sdk.ProfileNotFound,
    sdk.TokenRetrievalError,
)


def explain_aws(error: BaseException, call: str) -> tuple[FailureKind, str]:
    """Return failure kind and message of an AWS error; `call` is the API call that failed, such as
    `ec2:DescribeVpcs`."""
    match error:
        case sdk.ClientError():
            return _refused(str(error.response.get("Error", {}).get("Code", "")), call)
        case _ if isinstance(error, _NO_CREDENTIALS):
            return FailureKind.MISCONFIGURED, "no AWS credentials: give the host a role, or set AWS_ACCESS_KEY_ID"
        case sdk.NoRegionError() | sdk.UnknownRegionError() | sdk.InvalidRegionError() | sdk.ParamValidationError():
            return FailureKind.MISCONFIGURED, f"{call} cannot be asked: {type(error).__name__}"
        case sdk.ConnectTimeoutError() | sdk.ReadTimeoutError():
            return FailureKind.TIMEOUT, f"{call} was not answered in time"
        case sdk.ProxyConnectionError():
            return _by_proxy(error)
        case sdk.HTTPClientError() | sdk.ConnectionError():
            return _unconnected(error)
    return FailureKind.UNEXPECTED_RESPONSE, f"{call} was not answered as documented: {type(error).__name__}"


def _refused(code: str, call: str) -> tuple[FailureKind, str]:
    if code in _AUTH:
        return FailureKind.AUTH, f"AWS does not accept the credentials ({code})"
    if code in _PERMISSION:
        return FailureKind.PERMISSION, f"the credentials may not call {call} ({code})"
    if code in _RATE_LIMITED:
        return FailureKind.RATE_LIMITED, f"too many calls of {call} ({code})"
    return FailureKind.UNEXPECTED_RESPONSE, f"{call} failed ({code or 'no reason given'})"


def _by_proxy(error: sdk.ProxyConnectionError) -> tuple[FailureKind, str]:
    cause = error.kwargs.get("error")
    status = cause.status if isinstance(cause, aiohttp.ClientHttpProxyError) else None
    reason = cause.os_error if isinstance(cause, aiohttp.ClientConnectorError) else None
    return explain_proxy(Proxy.at(str(error.kwargs.get("proxy_url"))), Endpoint("AWS", 443), reason, status)


def _unconnected(error: sdk.HTTPClientError | sdk.ConnectionError) -> tuple[FailureKind, str]:
    url = URL(str(error.kwargs.get("endpoint_url") or ""))
    cause = error.kwargs.get("error")
    reason = cause if isinstance(cause, BaseException) else error
    return explain_aiohttp(reason, Endpoint(url.host or "AWS", url.port or 443))
