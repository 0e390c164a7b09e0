"""Jobs that report in by the address with a key, as healthchecks.io's clients and curl do it, and with a token. The
facts of the original: https://healthchecks.io/docs/http_api/. The journal is down throughout."""

import asyncio
from typing import Any

import pytest

from healthd.config.settings import Settings
from healthd.model import Status
from healthd.web import server
from healthd.web.refusals import Refusals
from tests.servers.waiting import until
from tests.unit.healthd.web.conftest import KEY, Client, Open, Site, bearer
from tests.unit.healthd.web.test_api_docs import fits

RUN = "ef7d9e55-9c5a-4d2b-8a1f-3c5c6c0d1b2a"


async def ping(client: Client, end: str = "", body: bytes | None = None, method: str = "POST") -> tuple[int, str]:
    answer = await client.request(method, f"/ping/{KEY}{end}", data=body)
    return answer.status, await answer.text()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize(
    ("end", "status"),
    [("", "healthy"), ("/0", "healthy"), ("/fail", "unhealthy"), ("/1", "unhealthy"), ("/255", "unhealthy")],
)
async def test_signals(open_site: Open, method: str, end: str, status: str) -> None:
    """200 and OK, whatever the method, and the check shows it at once."""
    site, client = await open_site()
    assert await ping(client, end, method=method) == (200, "" if method == "HEAD" else "OK")
    assert site.board.check("backup").status is Status(status)


async def test_a_run_from_start_to_end(open_site: Open) -> None:
    """Its length, its exit code and the last lines of its log stand in the answer for who may see them, without
    colours, secrets and empty lines; as metrics too."""
    site, client = await open_site()
    site.redact.learn(["hunter2-hunter2"])
    assert await ping(client, f"/start?rid={RUN}") == (200, "OK")
    site.clock.seconds += 90
    log = "\n".join(["old"] * 40) + "\n\x1b[31mdisk full\x1b[0m\r\n\npassword hunter2-hunter2\x00\n"
    assert await ping(client, f"/3?rid={RUN}", log.encode()) == (200, "OK")
    job = (await (await client.get("/health", headers=bearer("reader"))).json())["checks"]["backup"]
    assert (job["exitCode"], job["lastDuration"], len(job["log"])) == (3, 90.0, 20)
    assert job["log"][-2] == "disk full"
    assert "hunter2" not in str(job)
    assert job["message"].startswith("the job failed with exit code 3 just now, after 1m30s: password ")
    assert set((await (await client.get("/health")).json())["checks"]["backup"]) == {"status", "timestamp", "kind"}
    metrics = await (await client.get("/metrics")).text()
    assert 'healthd_check_value{check="backup",name="duration",unit="s"} 90.0' in metrics


async def test_a_run_that_is_named_twice(open_site: Open) -> None:
    """Which of the two it is cannot be known, as of any other parameter that is given twice."""
    _, client = await open_site()
    status, said = await ping(client, "?rid=a&rid=b")
    assert (status, "rid is given more than once" in said) == (400, True)


@pytest.mark.parametrize("size", [0, 9_999, 300_000, 3_000_000])
async def test_a_log_of_any_length_counts(open_site: Open, size: int) -> None:
    """The end of it is kept; a secret that is cut by the limit does not show in part."""
    site, client = await open_site()
    site.redact.learn(["s3cr3t-s3cr3t-s3cr3t"])
    body = b"x" * size + b"s3cr3t-s3cr3t-s3cr3t" + b" " * 9_990
    answer = await client.post(f"/ping/{KEY}/log", data=body)
    assert (answer.status, answer.headers["Ping-Body-Limit"]) == (200, "10000")
    assert "s3cr" not in str(site.board.check("backup").probe)


async def test_a_log_that_breaks_off_counts() -> None:
    """The job has said how it ended before its connection broke."""
    site = Site()
    await site.start()
    serving = await server.listen(site.app, "127.0.0.1:0", Refusals())
    _reader, writer = await asyncio.open_connection("127.0.0.1", serving.port)
    writer.write(f"POST /ping/{KEY}/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nhalf".encode())
    await writer.drain()
    writer.close()
    await until(lambda: site.heartbeats.unsaved == 1, "the report counts")
    await serving.close()
    await site.close()


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/ping/5bf66975-d4c7-4bf5-bcc8-b8d8a82ea279", 404, "no heartbeat has this key"),
        ("/ping/backup/start", 404, "no heartbeat has this key"),
        (f"/ping/{KEY}/strat", 400, "Did you mean start?"),
        (f"/ping/{KEY}/256", 400, "an exit code from 0 to 255"),
        (f"/ping/{KEY}/-1", 400, "an exit code from 0 to 255"),
        (f"/ping/{KEY}/٣", 400, "an exit code from 0 to 255"),
        (f"/ping/{KEY}?rid={'x' * 65}", 400, "rid must be"),
        (f"/ping/{KEY}/start?rid=", 400, "it is empty: is a variable unset?"),
    ],
)
async def test_what_is_no_report(open_site: Open, path: str, status: int, detail: str) -> None:
    """What is misspelt is said, and counts for nothing."""
    site, client = await open_site()
    answer = await client.get(path)
    assert (answer.status, answer.content_type) == (status, "application/problem+json")
    assert detail in (await answer.json(content_type=None))["detail"]
    assert site.heartbeats.unsaved == 0


async def test_other_methods_are_none(open_site: Open) -> None:
    _site, client = await open_site()
    assert (await client.put(f"/ping/{KEY}")).status == 405


async def test_with_a_token(open_site: Open) -> None:
    """The same signals by the name of the check."""
    site, client = await open_site()
    for end, status in (("", Status.HEALTHY), ("/fail", Status.UNHEALTHY), ("/0", Status.HEALTHY)):
        answer = await client.post(f"/heartbeats/backup{end}", headers=bearer("nightly"))
        assert (answer.status, site.board.check("backup").status) == (200, status)
    assert (await client.post("/heartbeats/backup/fail", headers=bearer("reader"))).status == 403
    assert (await client.post("/heartbeats/backup/fail")).status == 401


async def test_answers_are_as_described(open_site: Open) -> None:
    site, client = await open_site()
    document = site.api_docs.document()
    for key, signal in ((KEY, "0"), (KEY, "nothing"), ("0123456789abcdef", "0")):
        answer = await client.get(f"/ping/{key}/{signal}")
        if answer.status != 200:
            await fits(document, "/ping/{key}/{signal}", "get", answer, answer.content_type)
        assert str(answer.status) in document["paths"]["/ping/{key}/{signal}"]["get"]["responses"]


def test_two_jobs_may_not_share_a_key() -> None:
    """A report could mean either; the message does not quote the key."""
    job: Any = {"kind": "heartbeat", "period": "1h", "key": KEY}
    with pytest.raises(ValueError, match="one and two have the same key") as caught:
        Settings.model_validate({"checks": {"one": job, "two": job}})
    assert KEY not in str(caught.value)
