"""The relay's token: the SecureString of SSM that its environment names, which boto3 reads from moto."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import boto3
import pytest

from deploy.hooks import aws_relay
from tests.servers.moto import CREDENTIALS, Moto
from tests.servers.ports import HOST, free_port

_EVENT = {"lifecycleStage": "POST_TEST_TRAFFIC_SHIFT"}
_HOOK = {"DeploymentId": "d-GOOD", "LifecycleEventHookExecutionId": "one"}
_NAME = "/healthd/relay-token"


@contextmanager
def answering() -> Iterator[tuple[str, list[str | None]]]:
    """An address that says yes, and the authorizations that came there."""
    seen: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            seen.append(self.headers["Authorization"])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"hookStatus": "SUCCEEDED", "hookDetails": {}}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer((HOST, free_port()), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{HOST}:{server.server_port}/", seen
        server.shutdown()


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**CREDENTIALS, "HEALTHD_TOKEN_PARAMETER": _NAME}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HEALTHD_TOKEN", raising=False)
    monkeypatch.setattr(aws_relay, "_PAUSE", 0.0)


def test_another_token_needs_no_new_lambda(aws: Moto, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read, decrypted, at each call."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", aws.url)
    ssm = boto3.client("ssm", endpoint_url=aws.url)
    with answering() as (url, seen):
        monkeypatch.setenv("HEALTHD_HOOK", url)
        for token in ("hd_one", "hd_two"):
            ssm.put_parameter(Name=_NAME, Type="SecureString", Value=token, Overwrite=True)
            assert aws_relay.handler(_EVENT, None)["hookStatus"] == "SUCCEEDED"
    assert seen == ["Bearer hd_one", "Bearer hd_two"]


def test_a_parameter_that_is_not_there_fails_the_hook(aws: Moto, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, by its name: no call again would find it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", aws.url)
    monkeypatch.setenv("HEALTHD_TOKEN_PARAMETER", "/healthd/nothing")
    monkeypatch.setenv("HEALTHD_HOOK", f"http://{HOST}:{free_port()}/")
    for event in (_EVENT, _HOOK):
        with pytest.raises(aws_relay.Refused, match=r"/healthd/nothing.*ParameterNotFound"):
            aws_relay.handler(event, None)


def test_an_ssm_out_of_reach_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As healthd out of reach is: ECS calls again, a CodeDeploy hook fails after its tries."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", f"http://{HOST}:{free_port()}")
    monkeypatch.setenv("HEALTHD_HOOK", f"http://{HOST}:{free_port()}/")
    answer = aws_relay.handler(_EVENT, None)
    assert (answer["hookStatus"], answer["callBackDelay"]) == ("IN_PROGRESS", 30)
    with pytest.raises(aws_relay.Unreachable, match=_NAME):
        aws_relay.handler(_HOOK, None)
