"""`healthd init` beside a real NGINX, PM2 and MariaDB: the file that it writes is valid, its source sees the requests,
and its checks the processes and the database."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from urllib.request import urlopen

from ruamel.yaml import YAML

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
                assert refused is (name == "deploy"), (words, ended)
