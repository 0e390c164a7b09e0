"""What a mistake at the command line is told: the cure, and the nearest valid word."""

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from healthd.cli import main as healthd
from healthd_deploy.cli import main as healthd_deploy
from tests.servers.ports import free_port

RAW = re.compile(r"Traceback|Expecting |ssl:default|\[Errno|WRONG_VERSION|should match|codec|<\w+ object|\w+Error\b")
VERIFY = ["gate", "verify", "api", "1.0", "--retry-for", "0"]
LIST = ["gate", "list", "--retry-for", "0"]
CLIENTS = [LIST, VERIFY, ["status"], ["history"], ["audit"], ["window", "list"]]


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Where something that is no healthd answers whatever comes with these bytes."""
    loop = asyncio.new_event_loop()

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = loop.run_until_complete(asyncio.start_server(answered, "127.0.0.1", free_port()))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.close()


def http(status: str, body: str = "", kind: str = "text/html", more: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{more}\r\n"
    )
    return (head + body).encode("latin-1")


def run(words: list[str], **env: str) -> Result:
    return CliRunner().invoke(healthd, words, prog_name="healthd", env={"HEALTHD_TOKEN": "", "HEALTHD_URL": "", **env})


def told(result: Result, said: str) -> None:
    assert result.exit_code != 0
    assert said in result.stderr, result.stderr
    assert not RAW.search(result.stderr), result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["verify", "api", "1.0"], "No such command 'verify'. Did you mean healthd gate verify?"),
        (["staus"], "No such command 'staus'. Did you mean status?"),
        (["gate", "verfy"], "No such command 'verfy'. Did you mean verify?"),
        (["gate", "status"], "No such command 'status'. Did you mean healthd status?"),
        (["gate", "verify", "api", "1", "--taget", "x"], "No such option '--taget'. Did you mean '--target'?"),
        (["gate", "verify", "api"], "name a service and a version, as in: healthd gate verify api 1.4.2"),
        (["gate", "list", "--state", "faild"], "'faild' is not one of 'active', "),
        (["gate", "lock", "a", "--holder", "x", "--for", "30", "--reason", "y"], "write a number with its unit"),
        (["gate", "list", "--url", "127.0.0.1:8080"], "is not a URL: write it as http://127.0.0.1:8080, or with https"),
        (["gate", "list", "--url", "ftp://a"], "is not a URL: write it as https://healthd.example.org"),
        (["gate", "list", "--url", "http://"], "names no host: write it as https://"),
        (["gate", "list", "--url", "http://a:99999"], "names no host: write it as https://"),
        (["status", "ftp://a"], "ftp://a is not a URL: write it as https://healthd.example.org"),
        (["config", "check", "/no/such/file.yaml"], "/no/such/file.yaml: cannot be read: No such file or directory"),
        (["gate", "replay", "api", "1", "--at", "2999-01-01T00:00:00Z"], "2999-01-01T00:00:00Z is still to come"),
        (
            ["gate", "replay", "api", "1", "--at", "2020-01-01T00:00:00Z"],
            "there are: none. No file was read: name one with -c, or HEALTHD_CONFIG.",
        ),
        (["source", "test", "api"], "there are: none. No file was read: name one with -c, or HEALTHD_CONFIG."),
        (
            ["gate", "simulate", "canry", "--rate", "5"],
            "there are: analysis, batch, canary, post-switch, preflight, smoke. Did you mean canary? No file was read",
        ),
        (["gate", "simulate", "--policy", "canry", "--rate", "5"], "Did you mean canary? No file was read: name one"),
        (["gate", "simulate", "canary", "--policy", "batch", "--rate", "5"], "name the policy once: as POLICY or by"),
        (["check", "nothere"], "no check that runs is called nothere; there are: disk, memory, process."),
        (
            ["check", "memry"],
            "no check that runs is called memry; there are: disk, memory, process. Did you mean memory?",
        ),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_word_that_is_none(words: list[str], said: str) -> None:
    told(run(words), said)


def test_a_deploy_tool_that_is_none() -> None:
    result = CliRunner().invoke(healthd_deploy, ["ngnix"], prog_name="healthd-deploy")
    assert "No such command 'ngnix'. Did you mean nginx?" in result.stderr


@pytest.mark.parametrize("words", CLIENTS, ids=" ".join)
def test_nobody_listens(words: list[str]) -> None:
    """No daemon, or another port; the address is named, without what is secret in it."""
    place = f"127.0.0.1:{free_port()}"
    result = run(words, HEALTHD_URL=f"http://root:pa55word@{place}")
    told(result, f"@{place} could not be asked: nobody listens there: is the daemon running, and")
    assert result.exit_code == 3
    assert "pa55word" not in result.output


@pytest.mark.parametrize("words", CLIENTS, ids=" ".join)
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("127.0.0.1:8080", "127.0.0.1:8080, from "),
        ("127.0.0.1:8080", "HEALTHD_URL, is not a URL: write it as http://127.0.0.1:8080, or with https://"),
        ("ftp://a", "HEALTHD_URL, is not a URL: write it as https://healthd.example.org"),
        ("http://", "http:// names no host: write it as https://"),
    ],
)
def test_an_address_in_the_environment_that_is_none(words: list[str], url: str, said: str) -> None:
    result = run(words, HEALTHD_URL=url)
    told(result, said)
    assert result.exit_code == 3


@pytest.mark.parametrize("words", CLIENTS, ids=" ".join)
@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("bad\ntok", "HEALTHD_TOKEN holds no token: a token is one word, as `healthd token new` prints it"),
        ("Bearer tok", "HEALTHD_TOKEN begins with the word Bearer: leave it out"),
        ("tok\r\n", "nobody listens there"),
        ("tok\n", "nobody listens there"),
    ],
    ids=["two lines", "Bearer", "CRLF", "LF"],
)
def test_a_token_in_the_environment(words: list[str], token: str, said: str) -> None:
    """The end of a line is no part of it, and anything else that cannot be sent is told before a call."""
    told(run(words, HEALTHD_URL=f"http://127.0.0.1:{free_port()}", HEALTHD_TOKEN=token), said)


@pytest.mark.parametrize("words", CLIENTS, ids=" ".join)
@pytest.mark.parametrize(
    ("scheme", "answer", "said"),
    [
        ("https", http("400 Bad Request"), "it does not speak TLS; is it http://127.0.0.1:"),
        ("http", b"\x15\x03\x03\x00\x02\x02\x46", "it does not speak HTTP; is it https://127.0.0.1:"),
        ("http", b"", "it does not speak HTTP; is it https://127.0.0.1:"),
    ],
    ids=["https for http", "http for https", "no HTTP at all"],
)
def test_the_wrong_scheme(words: list[str], scheme: str, answer: bytes, said: str) -> None:
    with answering(answer) as place:
        told(run(words, HEALTHD_URL=f"{scheme}://{place}"), said)


@pytest.mark.parametrize("words", CLIENTS, ids=" ".join)
@pytest.mark.parametrize(
    "answer",
    [
        http("200 OK", "<h1>the shop</h1>"),
        http("200 OK", '{"orders": []}', "application/json"),
        http("404 Not Found", "<h1>no</h1>"),
        http("501 Unsupported method", "no"),
        http("200 OK", "\xff", "application/json"),
    ],
    ids=["page", "json", "404", "501", "bytes"],
)
def test_the_url_of_an_application(words: list[str], answer: bytes) -> None:
    with answering(answer) as place:
        told(run(words, HEALTHD_URL=f"http://{place}"), "application")


def test_a_redirect_is_told() -> None:
    with answering(http("301 Moved", more="Location: https://sso.example.com/login\r\n")) as place:
        told(run(LIST, HEALTHD_URL=f"http://{place}"), "it sends to https://sso.example.com/login: give the address of")


def test_a_path_that_is_not_the_daemons() -> None:
    problem = '{"title": "No such group", "detail": "groups are: live"}'
    with answering(http("404 Not Found", problem, "application/problem+json")) as place:
        told(run(LIST, HEALTHD_URL=f"http://{place}/health"), "asked below /health: the URL is the daemon's address")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty: it must hold a token"),
        (b"Bearer hd_abc", "begins with the word Bearer: leave it out, it is added"),
        (b"two words", "holds no token: a token is one word"),
        (b"\xff\xfe", "holds no token: it is not text"),
    ],
)
def test_a_token_that_is_none(tmp_path: Path, content: bytes, said: str) -> None:
    """In a file, or in the environment."""
    file = tmp_path / "token"
    file.write_bytes(content)
    told(run([*LIST, "--token-file", str(file)]), said)
    if content.isascii() and content:
        told(run(LIST, HEALTHD_TOKEN=content.decode()), said)


def test_a_token_that_brings_no_details_is_told() -> None:
    """The answer comes all the same: a credential that was changed must not turn a probe red."""
    health = '{"overall": "healthy", "environment": "e", "version": "1", "checks": {"memory": {"status": "healthy"}}}'
    with answering(http("200 OK", health, "application/json")) as place:
        result = run(["status"], HEALTHD_URL=f"http://{place}", HEALTHD_TOKEN="hd_other")
    assert result.exit_code == 0
    assert (
        "no details: the token in HEALTHD_TOKEN is not known there, has expired, or lacks the scope health:read"
        in result.stderr
    )
    assert "which the roles viewer, deployer and operator have" in result.stderr


def test_who_asks_without_a_token_is_told_what_the_reason_takes() -> None:
    """Where something is not healthy; else there is none to read."""
    for status, told in (("degraded", True), ("healthy", False)):
        checks = f'{{"db": {{"status": "{status}", "timestamp": "2026-12-01T00:00:00.000Z"}}}}'
        health = f'{{"overall": "{status}", "environment": "e", "version": "1", "checks": {checks}}}'
        with answering(http("200 OK", health, "application/json")) as place:
            result = run(["status"], HEALTHD_URL=f"http://{place}")
        said = "no reasons: set HEALTHD_TOKEN to a token with the scope health:read, which the roles viewer"
        assert (said in result.stderr) is told, result.stderr


def test_a_request_that_is_not_json(tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text("service: api\n")
    told(run(["gate", "verify", "--request", str(file)]), "is not JSON: line 1, column 1: a value is expected")


@pytest.mark.parametrize(
    ("length", "said"),
    [("5s", "no service is called"), ("5", "no service is called"), ("0s", "not between 1s and 10m"), ("5 s", "not a")],
)
def test_a_length_is_a_duration(tmp_path: Path, length: str, said: str) -> None:
    """As everywhere else; a number alone is seconds, as it was."""
    file = tmp_path / "healthd.yaml"
    file.write_text("services: {api: {source: {kind: push}}}\n")
    result = run(["source", "test", "shop", "--for", length, "-c", str(file)])
    assert said in result.output


@pytest.mark.parametrize(("words", "hinted"), [([], True), (["--candidate", "2.0"], False)])
def test_an_action_that_reads_versions_wants_to_know_which(words: list[str], hinted: bool) -> None:
    """It looks for a version of a made-up name otherwise, and finds that somebody has changed the Deployment."""
    detail = "Deployment shop/api: its pods are 2.0, not candidate, by label version: somebody changed it"
    tested = {"action": "undo", "kind": "kubernetes", "ok": False, "ending": None, "detail": detail}
    body = json.dumps(tested)
    with answering(http("200 OK", body, "application/json")) as place:
        result = run(["action", "test", "undo", "--service", "api", "--url", f"http://{place}", *words])
    assert (result.exit_code, "give --candidate" in result.stderr) == (1, hinted), result.stderr


def test_nothing_is_said_of_the_token_before_a_check_was_looked_at() -> None:
    """A daemon that has just started has no details to show, whoever asks."""
    health = '{"overall": "unknown", "environment": "e", "version": "1", "checks": {"memory": {"status": "unknown"}}}'
    with answering(http("503 Service Unavailable", health, "application/json")) as place:
        result = run(["status"], HEALTHD_URL=f"http://{place}", HEALTHD_TOKEN="hd_ours")
    assert (result.exit_code, result.stderr) == (1, "")


@pytest.mark.parametrize("option", ["--key", "--target", "--baseline", "--lock", "--policy"])
def test_an_option_of_a_gate_that_is_empty_is_no_value(option: str) -> None:
    """A pipeline's variable that nothing has set: no gate is asked for with less than was meant."""
    refused = run(["gate", "verify", "api", "1.4.2", option, ""])
    assert (refused.exit_code, f"for '{option}': it is empty" in refused.output) == (3, True), refused.output
