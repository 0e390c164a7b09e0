"""`healthd init` beside a real NGINX, PM2 and MariaDB: the file that it writes is valid, its source sees the requests,
and its checks the processes and the database."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

from ruamel.yaml import YAML

from tests.acceptance.guide import Shell
from tests.servers import daemon, mariadb, nginx, pm2
from tests.servers.command import healthd
from tests.servers.pm2 import Pm2
from tests.servers.ports import HOST, free_port
from tests.servers.waiting import until_now

_REQUESTS = 20
_SERVICE = "server { listen @LISTEN@; return 200 ok; }"
_PROXY = """
log_format own '$remote_addr [$time_local] "$request" $status $request_time '
               '"$http_user_agent" $upstream_addr $upstream_status $upstream_response_time';
upstream shop { server SERVICE; }
server { listen @LISTEN@; access_log FOLDER/shop.log own; location / { proxy_pass http://shop; } }
"""


def test_from_the_host_to_a_source_that_sees(tmp_path: Path) -> None:
    """NGINX's configuration gives service, target, log and format; nothing is asked."""
    with nginx.running(_SERVICE) as service:
        place = f"{HOST}:{service.port}"
        with nginx.running(_PROXY.replace("SERVICE", place).replace("FOLDER", str(tmp_path))) as proxy:
            for number in range(_REQUESTS):
                urlopen(f"{proxy.url}/products/{number}").close()
            log = tmp_path / "shop.log"
            until_now(lambda: log.read_text().count("\n") == _REQUESTS, "the log has every request")
            done = healthd("init", "--yes", "--nginx", proxy.file, cwd=tmp_path)
            assert (done.code, done.err) == (0, "")
            assert f"source access_log: tried, its newest {_REQUESTS} lines fit the format" in done.out
            assert healthd("config", "check", "healthd.yaml", cwd=tmp_path).code == 0
            words = ("--version", "1.0", "--target", "live", "--for", "1", "--json", "-c", "healthd.yaml")
            seen = healthd("source", "test", "shop", *words, cwd=tmp_path).json()
            assert (seen["able"], seen["refused"]) == (True, [])


_BLUE_GREEN = """
upstream shop { server BLUE; server GREEN down; }
server { listen @LISTEN@; server_name shop.example.com; location / { proxy_pass http://shop; } }
server { listen @LISTEN@ default_server; return 404; }
"""


def test_blue_and_green_behind_nginx(tmp_path: Path) -> None:
    """What users reach is critical, and no target is. Each command that is printed as the next runs as it stands, with
    the deploy tool's token."""
    with nginx.running(_SERVICE) as blue, nginx.running(_SERVICE) as green:
        both = {name: f"{HOST}:{server.port}" for name, server in {"blue": blue, "green": green}.items()}
        proxied = _BLUE_GREEN.replace("BLUE", both["blue"]).replace("GREEN", both["green"])
        with nginx.running(proxied) as proxy:
            targets = [word for name, at in both.items() for word in ("--target", f"{name}=http://{at}")]
            done = healthd("init", "--yes", "--nginx", proxy.file, *targets, cwd=tmp_path)
            assert (done.code, done.err) == (0, "")
            file = tmp_path / "healthd.yaml"
            assert "# what users reach; tried, it answers 200" in file.read_text()
            said, _, after = done.out.partition("Next:\n")
            listens = re.findall(r"status http://127.0.0.1:(\d+)", after)[0]
            ours = str(free_port())
            file.write_text(file.read_text().replace(f":{listens}", f":{ours}"))
            shell = Shell(tmp_path, "http://127.0.0.1:1", HEALTHD_TOKEN=re.findall(r"deploy: (hd_\S+)", said)[0])
            try:
                shown = dict(
                    _each_next(shell, after.replace(f":{listens}", f":{ours}"), f"{HOST}:{ours}/health/startup")
                )
                assert "no details" not in shown["status"]
                assert sum("✓" in line for line in shown["check"].splitlines() if line.startswith("shop")) == 3
                green.process.stop()
                ready = json.loads("".join(shell.run(f"curl -s {HOST}:{ours}/health/ready")))
                assert ready["status"] != "unhealthy"
            finally:
                shell.close()
            proxy.process.stop()
            assert healthd("check", "shop", "shop-blue", "-c", "healthd.yaml", cwd=tmp_path).code == 1


def _each_next(shell: Shell, printed: str, started: str) -> Iterator[tuple[str, str]]:
    """Run the commands as a person would, the daemon beside the others; yield what each showed, by its second word."""
    for line in printed.splitlines():
        word = line.split()[1]
        yield word, "\n".join(shell.run(f"{line} >log 2>&1 &" if word == "run" else line))
        if word == "run":
            shell.run(f"curl -s --retry 100 --retry-delay 1 --retry-all-errors --fail {started}")


def test_from_what_runs_to_checks_that_are_healthy(tmp_path: Path) -> None:
    """PM2's applications, a worker without a port among them, each as one look found it; MySQL by a query."""
    (tmp_path / "stays.js").write_text("setInterval(() => {}, 1000)")
    with pm2.running() as manager, mariadb.running() as database:
        manager.run("start", str(tmp_path / "stays.js"), "--name", "mail worker", "-i", "2")
        api = Pm2({**manager.env, "PORT": str(free_port())})
        api.run("start", str(tmp_path / "stays.js"), "--name", "api")
        env = {**manager.env, "SHOP_DB": database.uri()}
        done = healthd("init", "--yes", cwd=tmp_path, env=env)
        assert (done.code, done.err) == (0, "")
        file = (tmp_path / "healthd.yaml").read_text()
        assert "instances: 2} # tried, 2 of 2 online" in file
        assert database.uri() not in file + done.out
        names = ("mail-worker-processes", "api-processes", "mysql")
        checked = healthd("check", *names, "-c", "healthd.yaml", cwd=tmp_path, env=env)
        assert checked.code == 0, checked.out + checked.err
        manager.run("stop", "mail worker")
        assert healthd("check", names[0], "-c", "healthd.yaml", cwd=tmp_path, env=env).code == 1


async def test_who_is_woken_may_act_by_the_tokens_that_were_told(tmp_path: Path) -> None:
    """What the runbooks and pages have a person type is refused to the deploy tool's token, and not to the person's."""
    target = "live=http://127.0.0.1:1"
    done = healthd("init", "--yes", "--target", target, cwd=tmp_path)
    told = dict(re.findall(r"(?m)^  (deploy|operator): (hd_\S+)$", done.out))
    file = (tmp_path / "healthd.yaml").read_text()
    assert [*told] == ["deploy", "operator"]
    assert not any(secret in file for secret in told.values())
    journal = f"sqlite:///{tmp_path}/healthd.db"
    actions = {"traffic-back": {"kind": "command", "argv": ["true"]}}
    written = {**YAML(typ="safe").load(file), "environment": "production", "journal": journal, "actions": actions}
    written["services"]["app"]["on_fail"] = ["traffic-back"]
    no_gate = "01900000-0000-7000-8000-000000000000"
    commands = (
        ("gate", "give-up", no_gate, "--done", "--reason", "by hand"),
        ("action", "test", "traffic-back", "--service", "app", "--target", "live", "--baseline-target", "live"),
        ("window", "add", "freeze", "--service", "app", "--for", "1h", "--reason", "a holiday"),
        ("history",),
    )
    async with daemon.running(written) as running:
        for name, secret in told.items():
            env = {"HEALTHD_URL": running.url, "HEALTHD_TOKEN": secret}
            for words in commands:
                ended = await asyncio.to_thread(healthd, *words, env=env)
                refused = "lacks the scope" in ended.out + ended.err
                assert refused is (name == "deploy" and words != ("history",)), (words, ended)
