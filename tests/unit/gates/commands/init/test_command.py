"""`healthd init` from end to end: each combination of findings makes a file that is valid and holds no secret."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from click.testing import CliRunner, Result

from healthd.cli import main
from healthd.config.file import load
from healthd_gates.commands.init import command
from healthd_gates.commands.init.nginx_site import Front, Site
from healthd_gates.commands.init.pm2 import Pm2App
from healthd_gates.commands.init.processes import Listening
from healthd_gates.commands.init.survey import Host
from healthd_gates.commands.init.variables import Dependency
from healthd_gates.config.settings import Config
from tests.servers.ports import free_port
from tests.unit.gates.commands.init.test_pages import BASE, COUNT, PROM_CLIENT, server

FORMAT = '$remote_addr "$request" $status $request_time $upstream_addr ${upstream_status} its'
SECRET = "s3cret"
SERIES = {
    path.removeprefix(BASE): text
    for path, text in server({"status_code": "200", "version": "1", "job": 'a"b'}, [COUNT]).items()
}


class Page(http.server.BaseHTTPRequestHandler):
    """A service: healthy, and with the metrics of prom-client where its server says so."""

    def do_GET(self) -> None:
        there = self.path == "/healthz" or (self.path == "/metrics" and getattr(self.server, "metrics", False))
        of_prometheus = SERIES.get(unquote(self.path).removeprefix("/prometheus"))
        self.send_response(200 if there or of_prometheus else 404)
        self.end_headers()
        self.wfile.write((of_prometheus or (PROM_CLIENT if self.path == "/metrics" else "ok")).encode())

    def log_message(self, *_: object) -> None:
        pass


def serving(*, metrics: bool) -> http.server.ThreadingHTTPServer:
    service = http.server.ThreadingHTTPServer(("127.0.0.1", free_port()), Page)
    service.metrics = metrics  # type: ignore[attr-defined]
    threading.Thread(target=service.serve_forever, daemon=True).start()
    return service


@pytest.fixture(scope="module")
def plain() -> Iterator[int]:
    """The port of a service without metrics."""
    with serving(metrics=False) as service:
        yield service.server_address[1]
        service.shutdown()


@pytest.fixture(scope="module")
def measured() -> Iterator[int]:
    """The port of a service with metrics."""
    with serving(metrics=True) as service:
        yield service.server_address[1]
        service.shutdown()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder on a host where nothing is found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PM2_HOME", str(tmp_path / "no-pm2"))
    monkeypatch.setenv("SHOP_DB", f"mongodb://u:{SECRET}@127.0.0.1:1/shop")
    monkeypatch.setattr("healthd_gates.commands.init.plan._PROMETHEUS", "http://127.0.0.1:1")
    monkeypatch.setattr("healthd_gates.commands.init.plan.LOGS", ())
    found(monkeypatch, Host())
    return tmp_path


def found(monkeypatch: pytest.MonkeyPatch, host: Host) -> None:
    monkeypatch.setattr(command, "survey", lambda *_: host)


def init(*words: str) -> Result:
    return CliRunner().invoke(main, ["init", *words])


def written(name: str = "healthd.yaml") -> Config:
    return load(Path(name), Config, {})


def log_of(folder: Path, port: int, form: str = FORMAT) -> Site:
    line = f'127.0.0.1 "GET / HTTP/1.1" 200 0.1 127.0.0.1:{port} 200 its\n'
    (folder / "api.log").write_text(line * 5)
    return Site("api", (f"127.0.0.1:{port}",), folder / "api.log", form)


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize(
    "source", ["none", "probe", "probe in colours", "scrape", "scrape in colours", "access_log", "prometheus"]
)
def test_every_combination_is_valid(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    plain: int,
    measured: int,
    source: str,
    everything: bool,
) -> None:
    """The file passes the check without any of its variables, has the source that could be tried, and no secret."""
    port = measured if source.startswith("scrape") else plain
    apps = {
        "none": [],
        "access_log": [],
        "probe": [Pm2App("shop api", port)],
        "prometheus": [Pm2App("shop api", port)],
        "scrape": [Pm2App("shop api", port)],
    }.get(source, [Pm2App("api-blue", port), Pm2App("api-green", 1)])
    if source == "prometheus":
        monkeypatch.setattr("healthd_gates.commands.init.plan._PROMETHEUS", f"http://127.0.0.1:{port}/prometheus")
    sites = [log_of(here, port)] if source == "access_log" else []
    databases = [Dependency("mongodb", "SHOP_DB"), Dependency("mongodb", "OTHER_DB")] if everything else []
    region, namespace = ("AWS_REGION", "shop") if everything else (None, None)
    ports = [Listening(8080, None)]
    host = Host(databases, aws_region=region, namespace=namespace, sites=sites, apps=apps, ports=ports)
    found(monkeypatch, host)
    done = init("--yes")
    assert done.exit_code == 0, done.output
    text = Path("healthd.yaml").read_text()
    checked = CliRunner().invoke(main, ["config", "check", "healthd.yaml"])
    assert (checked.exit_code, SECRET in text + done.output, "u:" in text) == (0, False, False)
    settings = written()
    kinds = [each.source.kind for each in settings.services.values() if each.source is not None]
    assert kinds == ([] if source == "none" else [source.split()[0]])
    assert settings.http.listen.endswith(":8081")
    assert len([name for name in settings.checks if "db" in name or name == "mongodb"]) == len(databases)
    for service in settings.services.values():
        policy = settings.policies[service.policy]
        compares = (policy.needs_history, policy.needs_baseline)
        assert compares == ("colours" not in source, "colours" in source)


def test_another_service_behind_the_proxy_is_told(here: Path, monkeypatch: pytest.MonkeyPatch, plain: int) -> None:
    """With the option that writes it; one more colour of the same service is none."""
    mine = log_of(here, plain)
    others = [replace(mine, name=name, servers=(f"127.0.0.1:{port}",)) for name, port in (("search", 4), ("mails", 5))]
    found(monkeypatch, Host(sites=[mine, replace(mine, name="again"), *others]))
    done = init("--yes")
    assert done.exit_code == 0, done.output
    told = [line for line in done.output.splitlines() if "NGINX passes requests too" in line]
    assert told == [
        f"  left out: {name}, to which NGINX passes requests too (127.0.0.1:{port}): --service {name} writes that one"
        for name, port in (("search", 4), ("mails", 5))
    ]


def test_a_log_format_is_taken_over_as_it_is(here: Path, monkeypatch: pytest.MonkeyPatch, plain: int) -> None:
    """Its braces and quotes mean nothing to the configuration."""
    found(monkeypatch, Host(sites=[log_of(here, plain)]))
    assert init("--yes").exit_code == 0
    assert getattr(written().services["api"].source, "format", None) == FORMAT


def test_a_log_of_another_service_is_left_out(here: Path, monkeypatch: pytest.MonkeyPatch, plain: int) -> None:
    """What was tried and does not serve is said, and the next source is taken."""
    site = log_of(here, 1)
    found(monkeypatch, Host(sites=[Site("api", (f"127.0.0.1:{plain}",), site.log, FORMAT)]))
    done = init("--yes")
    assert "no line is from a target; its servers are 127.0.0.1:1" in done.output
    assert getattr(written().services["api"].source, "kind", None) == "probe"


def test_a_log_without_durations_is_judged_without_them(here: Path, plain: int) -> None:
    """The policy has no criterion that nothing could answer."""
    (here / "log").write_text('1.1.1.1 - - [26/Nov/2026:18:00:00 +0000] "GET /a HTTP/1.1" 200 5 "-" "curl/8"\n')
    done = init("--yes", "--log", "log", "--target", f"live=http://127.0.0.1:{plain}")
    assert "left out: latency" in done.output
    assert [each.kind for each in written().policies["post-switch"].criteria] == ["error_rate"]


def test_a_service_that_does_not_answer_yet_is_said() -> None:
    """Nobody reads in the file that something was tried which was not."""
    done = init("--yes", "--target", "live=http://127.0.0.1:1")
    assert "source probe: not tried: no target answered" in done.output
    assert "source: # not tried: no target answered" in Path("healthd.yaml").read_text()


def test_a_log_that_may_not_be_looked_for_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of logs that others may not enter, as Debian has them, stops nothing; a usual log that is not there is
    no news."""
    monkeypatch.setattr("healthd_gates.commands.init.plan.LOGS", (Path("nowhere"), Path("x" * 300)))
    done = init("--yes", "--target", "live=http://127.0.0.1:1")
    assert (done.exit_code, "cannot be read: File name too long" in done.output) == (0, True), done.output
    assert "nowhere" not in done.output


def test_nothing_is_overwritten(here: Path) -> None:
    """A file that is there stays as it is."""
    (here / "healthd.yaml").write_text("mine")
    done = init("--yes")
    assert (done.exit_code, (here / "healthd.yaml").read_text()) == (2, "mine")
    assert "is there already" in done.output


def test_the_journal_is_beside_the_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that a person starts shares no journal, and needs no folder of root."""
    assert init("--yes").exit_code == 0
    assert written().journal_url == f"sqlite:///{here}/healthd.db"
    found(monkeypatch, Host(namespace="shop"))
    assert init("--yes", "pod.yaml").exit_code == 0
    assert written("pod.yaml").journal is None


def test_the_next_commands_name_what_was_found(monkeypatch: pytest.MonkeyPatch, plain: int) -> None:
    """The version that Prometheus has, and the port that was free: nothing is left to fill in."""
    monkeypatch.setattr("healthd_gates.commands.init.plan._PROMETHEUS", f"http://127.0.0.1:{plain}/prometheus")
    found(monkeypatch, Host(ports=[Listening(8080, None)]))
    lines = init("--yes", "--target", f"live=http://127.0.0.1:{plain}").output.partition("Next:\n")[2].splitlines()
    assert [line.strip() for line in lines] == [
        "healthd check -c healthd.yaml",
        "healthd source test app --version 1 --target live -c healthd.yaml",
        "healthd run -c healthd.yaml",
        "healthd status http://127.0.0.1:8081 # in another shell, with a token in HEALTHD_TOKEN",
    ]


@pytest.mark.parametrize(
    ("front", "left_out"),
    [
        (None, "no site of NGINX is found that passes all requests on to a target"),
        (Front((), None, "/", ""), "no site of NGINX is found that passes all requests on to a target"),
        (Front(("http://127.0.0.1:1",), None, "/api/", ""), "NGINX does not pass /healthz on"),
        (Front(("http://127.0.0.1:{port}",), None, "/shop/", "/"), "{port}/shop/healthz answers 404"),
    ],
)
def test_what_users_reach_is_asked_for_where_it_is_not_found(
    monkeypatch: pytest.MonkeyPatch, plain: int, front: Front | None, left_out: str
) -> None:
    """Each of two targets may be stopped between deploys, and neither makes the host unready."""
    if front is not None:
        front = replace(front, addresses=tuple(each.format(port=plain) for each in front.addresses))
    found(monkeypatch, Host(sites=[Site("app", (f"127.0.0.1:{plain}",), None, None, front=front)] if front else []))
    done = init("--yes", "--target", f"blue=http://127.0.0.1:{plain}", "--target", "green=http://127.0.0.1:1")
    assert "left out: a check of what users reach, which should be critical: " in done.output
    assert left_out.format(port=plain) in done.output
    assert {name: check.critical for name, check in written().checks.items() if check.kind == "http"} == {
        "app-blue": False,
        "app-green": False,
    }


def test_a_proxy_that_does_not_run_yet(monkeypatch: pytest.MonkeyPatch, plain: int) -> None:
    """What users will reach is critical all the same, by the name that NGINX knows the site by; the targets' site is
    taken, and not the first."""
    other = Site("other", ("127.0.0.1:9",), None, None, front=Front(("http://127.0.0.1:2",), None, "/", ""))
    front = Front(("https://127.0.0.1:1",), "shop.example.com", "/", "")
    found(monkeypatch, Host(sites=[other, Site("shop", (f"localhost:{plain}",), None, None, front=front)]))
    assert (
        init("--yes", "--target", f"blue=http://127.0.0.1:{plain}", "--target", "green=http://127.0.0.1:1").exit_code
        == 0
    )
    text = Path("healthd.yaml").read_text()
    options = (
        "{kind: http, url: 'https://127.0.0.1:1/healthz', headers: {Host: shop.example.com}, "
        "server_name: shop.example.com, critical: true}"
    )
    assert f"  shop: {options} # what users reach; not tried: nothing answers there" in text
    assert [name for name, check in written().checks.items() if check.critical] == ["shop", "process"]


def test_a_check_that_would_be_refused_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that the check cannot use is said, without the address."""
    monkeypatch.setenv("SHOP_DB", f"mongodb://u:{SECRET}@host:nonsense/shop")
    found(monkeypatch, Host([Dependency("mongodb", "SHOP_DB")]))
    done = init("--yes")
    assert (done.exit_code, SECRET in done.output) == (0, False), done.output
    assert "left out: check mongodb" in done.output
    assert "mongodb" not in written().checks


def test_mysql_is_asked_a_query(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no check of its own; without its driver that is said, and the file is valid."""
    monkeypatch.setenv("SHOP_DB", f"mysql://u:{SECRET}@127.0.0.1:1/shop")
    found(monkeypatch, Host([Dependency("mysql", "SHOP_DB")]))
    assert init("--yes", "with.yaml").exit_code == 0
    assert written("with.yaml").checks["mysql"].kind == "sql"
    monkeypatch.setattr("healthd.checks.sql_database.find_spec", lambda _name: None)
    done = init("--yes", "without.yaml")
    assert "left out: check mysql: names MySQL, which needs aiomysql: pip install" in done.output
    assert (done.exit_code, SECRET in done.output, "mysql" in written("without.yaml").checks) == (0, False, False)


def test_a_pm2_that_the_check_could_not_ask_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of processes may come from a PM2 that ends in between, or that the check's short PATH has no Node.js
    for: what its look said is told."""
    found(monkeypatch, Host(apps=[Pm2App("api", 1), Pm2App("worker")]))
    done = init("--yes")
    assert done.exit_code == 0, done.output
    for name in ("api", "worker"):
        assert f"left out: check of PM2's {name}: PM2 does not run: there is no " in done.output
    assert not any(check.kind == "pm2" for check in written().checks.values())


def test_a_worker_of_pm2_is_no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a port it has no address to send traffic to, and no say in which service is meant."""
    found(monkeypatch, Host(apps=[Pm2App("worker")]))
    done = init("--yes")
    assert (done.exit_code, [*written().services]) == (0, []), done.output


def test_variables_of_the_file_are_for_the_environment(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that takes them over is said, and the value that a shell would cut."""
    (here / ".env").write_text("SHOP_DB=mongodb://u:s3cret@a/shop?a=1&b=2\n")
    names = ["SHOP_DB"]
    host = Host([Dependency("mongodb", "SHOP_DB")], from_file=frozenset(names), unquoted=names, spaced=["B", "A"])
    found(monkeypatch, host)
    done = init("--yes")
    assert "set -a; . ./.env; set +a" in done.output
    assert "put the value of SHOP_DB into single quotes" in done.output
    assert "leave no blank around the = of A, B there" in done.output


def test_on_a_terminal_it_asks(monkeypatch: pytest.MonkeyPatch, plain: int) -> None:
    """What was found is the default; an answer that means nothing is asked for again."""
    monkeypatch.setattr(command, "has_terminal", lambda: True)
    found(monkeypatch, Host(apps=[Pm2App("api", plain), Pm2App("shop", 1)]))
    answers = f"1\nfront\nnonsense\nblue=http://127.0.0.1:{plain} green=http://127.0.0.1:1\n"
    done = CliRunner().invoke(main, ["init"], input=answers)
    assert (done.exit_code, "no NAME=URL" in done.output) == (0, True), done.output
    assert [*written().services["front"].targets] == ["blue", "green"]


def test_on_a_terminal_nothing_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a service the file has checks alone."""
    monkeypatch.setattr(command, "has_terminal", lambda: True)
    done = CliRunner().invoke(main, ["init"], input="\n\n")
    assert (done.exit_code, [*written().services]) == (0, []), done.output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "there is no terminal to ask at: with --yes"),
        (("--yes", "--target", "blue"), "no NAME=URL"),
        (("--yes", "--target", f"a=http://u:{SECRET}@h"), "without a password"),
        (("--yes", "--target", "a=http://h", "--target", "a=http://g"), "is there twice"),
        (("--yes", "--target", "a=http://h", "--target", "b=http://h/"), "the address of two targets"),
        (("--yes", "--service", "apj"), "no service called 'apj' is found; there are: api. Did you mean api?"),
        (("--yes", "--service", "a b"), "is no name"),
        (("--yes", "--log", "nowhere"), "does not exist"),
        (("--yes", "nowhere/healthd.yaml"), "cannot be written"),
    ],
)
def test_a_mistake(monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], says: str) -> None:
    """It is answered with the cure, and nothing is written."""
    found(monkeypatch, Host(apps=[Pm2App("api", 1)]))
    done = init(*words)
    assert (done.exit_code, list(Path().iterdir())) == (2, [])
    assert says in " ".join(done.output.split())
    assert SECRET not in done.output
