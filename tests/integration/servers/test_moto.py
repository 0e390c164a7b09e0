"""The AWS of the tests answers the SDK's protocol and can be emptied."""

import urllib.request

from tests.servers import moto


def test_answers_and_forgets() -> None:
    """A parameter that was put is there until a reset."""
    with moto.running() as server:
        put = b'{"Name": "release", "Value": "1", "Type": "String"}'
        assert b"Version" in _ssm(server, "PutParameter", put)
        assert b'"Value": "1"' in _ssm(server, "GetParameters", b'{"Names": ["release"]}')
        server.reset()
        assert b'"Value": "1"' not in _ssm(server, "GetParameters", b'{"Names": ["release"]}')


def _ssm(server: moto.Moto, action: str, body: bytes) -> bytes:
    credential = f"{moto.CREDENTIALS['AWS_ACCESS_KEY_ID']}/20260101/us-east-1/ssm/aws4_request"
    headers = {
        "X-Amz-Target": f"AmazonSSM.{action}",
        "Content-Type": "application/x-amz-json-1.1",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={credential}",
    }
    with urllib.request.urlopen(urllib.request.Request(server.url, body, headers), timeout=60) as response:
        answer: bytes = response.read()
        return answer
