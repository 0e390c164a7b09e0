"""Marked secrets in every place that takes one, every way to fail, and every output: none of them shows."""

import asyncio
import base64
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import aiohttp

from healthd.web.auth import new_token
from tests.servers import daemon, forked, peers, tcp
from tests.servers.peers import Answer
from tests.servers.ports import free_port
from tests.servers.waiting import until

# With what has to be quoted in a URI; each place gets a mark of its own, so that a leak names its source.
AWKWARD = "p@ss/w:rd%&"


def mark(place: str) -> str:
    return f"MARK-{place}-{AWKWARD}"


def uri(scheme: str, port: int, place: str, rest: str = "") -> str:
    return f"{scheme}://app:{quote(mark(place), safe='')}@127.0.0.1:{port}/{rest}"


def client(token_url: str) -> dict[str, Any]:
    return {"token_url": token_url, "client_id": "shop", "client_secret": mark("client")}


def checks(way: str, port: int) -> dict[str, dict[str, Any]]:
    """Every kind that holds a secret, asking the same port."""
    base = f"http://127.0.0.1:{port}"
    bearer = {"Authorization": f"Bearer {mark('header')}", "X-Api-Key": mark("key")}
    query = quote(mark("query"), safe="")
    kinds: dict[str, dict[str, Any]] = {
        "postgresql": {"kind": "postgresql", "uri": uri("postgresql", port, "postgresql", "app")},
        "redis": {"kind": "redis", "uri": uri("redis", port, "redis", "0")},
        "mongodb": {"kind": "mongodb", "uri": uri("mongodb", port, "mongodb", "?directConnection=true")},
        "history": {"kind": "migrations", "postgresql": {"uri": uri("postgresql", port, "migrations", "app")}},
        "http": {"kind": "http", "url": f"{base}/?access_token={query}", "headers": bearer},
        "userinfo": {"kind": "http", "url": uri("http", port, "userinfo")},
        "headers": {"kind": "headers", "url": base, "headers": bearer},
        "stripe": {"kind": "stripe", "key": f"sk_live_{mark('stripe')}", "base_url": base},
        "sendgrid": {"kind": "sendgrid", "key": f"SG.{mark('sendgrid')}", "base_url": base},
        "proxy": {"kind": "http", "url": "http://shop.test/", "proxy": uri("http", port, "proxy")},
        "tunnel": {"kind": "http", "url": "https://shop.test/", "proxy": uri("http", port, "proxy")},
        "client": {"kind": "http", "url": base, "oauth2": client(f"{base}/token")},
    }
    paced = {"interval": "900ms", "timeout": "700ms"}
    return {f"{name}-{way}": {**check, **paced} for name, check in kinds.items()}


# Somebody's own check, which is as careless as can be: the daemon has to keep what it tells to itself.
CARELESS = """
import asyncio, logging, warnings
import structlog
from pydantic import SecretStr
from healthd import checks
from healthd.checks.contract import CheckConfig
from healthd.model import FailureKind, Result

checks.KINDS["careless"] = "sitecustomize:Careless"

class CarelessConfig(CheckConfig):
    uri: SecretStr
    way: str

class Careless:
    config_model = CarelessConfig

    def __init__(self, config, context):
        self.uri, self.way = config.uri.get_secret_value(), config.way
        if self.way == "birth":
            raise ValueError(self.uri)

    async def probe(self):
        match self.way:
            case "raise":
                raise ConnectionError(f"cannot reach {self.uri}") from KeyError(self.uri)
            case "tell":
                observed = {"uri": self.uri, "all": [self.uri]}
                return Result.unhealthy(FailureKind.AUTH, f"no: {self.uri}", observed=observed)
            case "log":
                structlog.get_logger().error("no", uri=self.uri, deep={self.uri: [self.uri.encode()]})
                logging.getLogger("driver").error("cannot reach %s", self.uri)
                warnings.warn(self.uri)
            case "task":
                async def die():
                    raise RuntimeError(self.uri)
                asyncio.create_task(die(), name="careless")
        return Result.healthy(f"reached {self.uri}")

    async def close(self):
        raise OSError(self.uri)
"""


def careless_checks() -> dict[str, dict[str, Any]]:
    ways = ("raise", "tell", "log", "task", "birth")
    paced = {"interval": "900ms", "timeout": "700ms", "uri": uri("postgresql", 1, "careless", "app")}
    return {f"careless-{way}": {"kind": "careless", "way": way, **paced} for way in ways}


@asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """Throws everything that it is sent back at the sender, who may quote it in an error."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(b"-ERR " + data + b"\r\n")
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", free_port()) as server:
        yield server.sockets[0].getsockname()[1]


def reflect(request: peers.Received) -> Answer:
    """As a proxy's error page that quotes the request."""
    headers = dict(request.headers)
    return Answer(
        status=401, json={"error": headers, "query": dict(request.query)}, headers={"X-Said": str(headers)[:99]}
    )


async def printed(*words: str, env: dict[str, str]) -> str:
    """All that a command prints."""
    pipe, into = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
    healthd = forked.program("healthd")
    ran = await asyncio.create_subprocess_exec(healthd, *words, stdout=pipe, stderr=into, env={**os.environ, **env})
    output, _ = await ran.communicate()
    return output.decode()


def leaks(text: str) -> list[str]:
    """Where a mark shows in any form; the awkward tail alone would do for a thief too."""
    forms = {AWKWARD, quote(AWKWARD, safe=""), quote(AWKWARD), json.dumps(AWKWARD)[1:-1], "MARK-"}
    encoded = [mark(place) for place in ("stripe", "sendgrid", "header", "key", "given")]
    encoded += [f"shop:{quote_plus(mark('client'))}", f"app:{mark('proxy')}", f"app:{mark('outgoing')}"]
    forms |= {base64.b64encode(each.encode()).decode()[:-4] for each in encoded}
    return [text[max(0, at - 80) : at + 40] for form in forms if (at := text.find(form)) >= 0]


async def test_no_secret_in_any_output(tmp_path: Path) -> None:
    """Not in logs at their most talkative, answers, metrics, error reports or what the commands print."""
    token, hashed = new_token()
    async with peers.peer() as page, peers.peer() as ingestion, echo() as echoing, tcp.proxy(9) as hole:
        hole.black_hole()
        for path in ("/", "/v1/balance", "/v3/scopes"):
            page.answer("GET", path, reflect)
        page.answer("POST", "/token", Answer(json={"access_token": mark("given"), "token_type": "Bearer"}))
        ingestion.answer("POST", "/api/42/envelope/", Answer(json={"id": "1"}))
        ways = {"closed": free_port(), "silent": hole.port, "echo": echoing, "page": page.port}
        settings: dict[str, Any] = {
            "checks": {name: check for way, port in ways.items() for name, check in checks(way, port).items()}
            | careless_checks(),
            "http": {"details": "always", "drain": "100ms"},
            "log": {"level": "debug"},
            "outgoing": {"proxy": uri("http", free_port(), "outgoing")},  # this host is reached directly
            "sentry": {"dsn": f"http://{'MARK-dsn'}@127.0.0.1:{ingestion.port}/42"},
            "auth": {"tokens": [{"name": "ci", "hash": hashed, "scopes": ["admin"]}]},
            "journal": f"sqlite:///{tmp_path}/journal.db",
        }
        (tmp_path / "sitecustomize.py").write_text(CARELESS)
        env = {"PYTHONPATH": str(tmp_path)}
        async with daemon.running(settings, env=env) as server, aiohttp.ClientSession() as session:
            outputs: dict[str, str] = {}

            async def all_probed() -> bool:
                async with session.get(f"{server.url}/health") as response:
                    states = (await response.json())["checks"].values()
                    return all("timestamp" in state for state in states)

            await until(all_probed, "every check probed")
            await asyncio.sleep(3)
            await until(lambda: server.log().count("cannot reach ***") > 1, "the careless check has been careless")
            for path in ("/health", "/health/ready", "/metrics", "/"):
                for accept in ("*/*", "application/health+json", "text/html"):
                    async with session.get(server.url + path, headers={"Accept": accept}) as response:
                        outputs[f"{path} {accept}"] = await response.text() + str(response.headers)
            run = f"{server.url}/checks/redis-echo/run"
            async with session.post(run, headers={"Authorization": f"Bearer {token}"}) as response:
                outputs[run] = await response.text()
            server.file.write_text(json.dumps({**settings, "level": mark("level")}))
            server.process.send(signal.SIGHUP)  # refused, which is an error, which is reported
            reports = await ingestion.received_at_least(4)
            server.file.write_text(json.dumps(settings))
            for command in (("check",), ("check", "--json"), ("config", "show"), ("config", "check")):
                place = [str(server.file)] if command == ("config", "check") else ["--config", str(server.file)]
                outputs[" ".join(command)] = await printed(*command, *place, env=env)
            await server.stop()
            outputs["log"] = server.log()
            # The first line of an envelope may name the project's public key: that is how it is addressed.
            outputs["reports"] = b"".join(b"".join(each.body.splitlines()[1:]) for each in reports).decode()
        assert "reached ***" in outputs["/health */*"]
        assert outputs["log"].count("cannot reach ***") > 1
        assert "RuntimeError: ***" in outputs["log"]
        assert "RuntimeError" in outputs["reports"]
        assert {name: found for name, text in outputs.items() if (found := leaks(text))} == {}
        assert token not in "".join(outputs.values())
