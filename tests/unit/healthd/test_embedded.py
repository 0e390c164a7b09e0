"""The checks inside somebody's application: what the page shows is run, and answers as the daemon would."""

import asyncio
import re
import traceback
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from healthd.embedded import Checks
from tests.servers.ports import free_port

PAGE = Path(__file__).parents[3] / "docs" / "embedding.md"


def application(checks: dict[str, Any]) -> dict[str, Any]:
    """The page's first example, with other checks."""
    (text, *_) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(re.sub(r"(?m)^CHECKS = .*$", f"CHECKS = {checks!r}", text), names)
    return names


async def test_the_application_of_the_page_answers() -> None:
    """Ready while the check is; not ready, without a word of where, once it is not; and no task is left at the end."""
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", free_port())
    host, port = server.sockets[0].getsockname()
    tcp = {"kind": "tcp", "host": host, "port": port, "critical": True, "interval": 1.0, "timeout": 1.0, "fall": 1}
    app = application({"backend": tcp})["app"]
    async with TestClient(TestServer(app)) as client:
        statuses = []
        for _ in range(200):
            async with client.get("/health/ready") as answer:
                statuses.append(answer.status)
            if statuses[-1] == 200 and server.is_serving():
                server.close()
                await server.wait_closed()
            elif statuses[-1] == 503 and 200 in statuses:
                break
            await asyncio.sleep(0.05)
        async with client.get("/health/ready") as answer:
            document = await answer.json()
    assert statuses[-1] == 503
    assert document["checks"]["backend"]["status"] == "unhealthy"
    assert str(port) not in str(document)
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_nothing_is_ready_before_it_was_looked_at() -> None:
    checks = Checks({"backend": {"kind": "tcp", "host": "127.0.0.1", "port": free_port(), "critical": True}})
    async with checks:
        assert checks.group()[0] is False
        with pytest.raises(KeyError):
            checks.group("no such group")


@pytest.mark.parametrize("options", [{"kind": "tpc"}, {"kind": "tcp"}, {"kind": "tcp", "hots": "x"}])
def test_what_a_file_may_not_say_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="backend"):
        Checks({"backend": options})


@pytest.mark.parametrize(
    ("check", "told"),
    [
        (
            {"kind": "postgresql", "url": "postgresql://app:S3CRETpw@db.internal/app"},
            "checks.a.uri: is required\nchecks.a.url: no such option; did you mean uri?",
        ),
        (
            {"kind": "stripe", "key": "sk_live_S3CRETpw", "keyy": "sk_live_S3CRETpw"},
            "checks.a.keyy: no such option; did you mean key?",
        ),
        ({"kind": "postgresql", "uri": "postgresql://app:S3CRETpw@db.internal:port/app"}, "checks.a.uri: "),
        ({"kind": "tcp", "host": "h", "port": "S3CRETpw"}, "checks.a.port: "),
        ({"kind": "postgress"}, "checks.a: no kind of check is called 'postgress'; "),
    ],
)
def test_a_mistake_is_told_without_its_value(check: dict[str, Any], told: str) -> None:
    """In the application's log, and wherever that goes."""
    with pytest.raises(ValueError, match="") as refused:
        Checks({"a": check})
    assert str(refused.value).startswith(told), str(refused.value)
    trace = "".join(traceback.format_exception(refused.value))
    assert "S3CRET" not in trace
    assert "pydantic" not in str(refused.value)


@pytest.mark.parametrize("uri", ["${DATABASE_URL}", "postgresql://shop:${DATABASE_URL:-x}@h/shop"])
def test_a_variable_of_a_file_is_refused(uri: str) -> None:
    """It would be taken for the password, or for an address without its scheme."""
    with pytest.raises(ValueError, match="not filled in here") as refused:
        Checks({"db": {"kind": "postgresql", "uri": uri}, "home": {"kind": "exec", "argv": ["sh", "-c", "ls ${HOME}"]}})
    assert str(refused.value) == (
        'checks.db.uri: variables are not filled in here: write os.environ["DATABASE_URL"] instead of ${DATABASE_URL}'
    )
