"""No server outlives the tests, and one that cannot start says why."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.servers import install, nginx, ports, process, programs
from tests.servers.waiting import until_now

_STARTS_AND_CRASHES = """
import os, signal
from tests.servers import nginx, postgresql, redis
with postgresql.primary() as one, redis.standalone() as two, nginx.running("server { listen @LISTEN@; }") as three:
    two.pause()
    print(*(p.pid for server in (one, two, three) for p in server.process.tree()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_servers_die_with_the_tests() -> None:
    """When the process of the tests is killed, the servers and all their children go too."""
    argv = [sys.executable, "-c", _STARTS_AND_CRASHES]
    with process.own_folder() as folder:
        env = {**os.environ, "TMPDIR": str(folder)}  # what the crash leaves there goes with the folder
        crashed = subprocess.run(argv, stdout=subprocess.PIPE, text=True, env=env, cwd=Path(__file__).parents[3])
    assert crashed.returncode == -signal.SIGKILL
    pids = [int(word) for word in crashed.stdout.split()]
    assert len(pids) > 6
    until_now(lambda: not any(_lives(pid) for pid in pids), "the servers are gone")


def test_workers_end_with_their_server() -> None:
    """NGINX's workers outlive a master that is killed: they end with the test."""
    with nginx.running("server { listen @LISTEN@; }") as server:
        workers = [worker.pid for worker in server.process.tree()[1:]]
        server.process.send(signal.SIGKILL)
        until_now(lambda: not server.process.running, "its master has ended")
        assert all(map(_lives, workers)), "else this would prove nothing"
        assert workers
    until_now(lambda: not any(map(_lives, workers)), "its workers have ended")


def test_no_port_is_given_twice() -> None:
    """A client that still asks a server of another test reaches nobody: neither one of this worker, nor of another."""
    workers = [ports._ports_of(number, 7) for number in range(7)]
    every = [port for own in workers for port in own]
    assert len(set(every)) == len(every)
    first_of_the_kernel = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(every) < first_of_the_kernel
    given = [ports.free_port() for _ in range(50)]
    assert len(set(given)) == len(given)


def test_taken_port_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A server whose port somebody else bound first gets another one."""
    with ports.held_port() as taken:
        offered = iter([taken, ports.free_port()])
        monkeypatch.setattr(process, "free_port", lambda: next(offered))
        with process.serving(lambda port: _web_server(port, tmp_path)) as (port, web):
            assert port != taken
            assert "Address already in use" in web.log()


def test_failed_start_shows_the_log(tmp_path: Path) -> None:
    """A server that ends at once is reported with what it said."""
    argv = [sys.executable, "-c", "raise SystemExit('no such data directory')"]
    failing = process.Process(argv, lambda _: False, log=tmp_path / "log")
    with pytest.raises(process.DidNotStartError, match="ended with 1:\nno such data directory"):
        failing.start()


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_absent_program(ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    """An absent program skips a test on a developer's machine and fails it in CI."""
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="no-such-server is not installed"):
        programs.require("no-such-server")


def test_services_policy_is_restored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """While packages are installed none may start its service; afterwards the machine's policy is what it was."""
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(install, "_POLICY", policy)
    with install.services_kept_from_starting():
        assert subprocess.run([policy]).returncode == 101
    assert not policy.exists()
    policy.write_text("the machine's own")
    with install.services_kept_from_starting():
        pass
    assert policy.read_text() == "the machine's own"


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [("pm2", 0, "Tests that need pm2 will be skipped."), ("nginx", 1, "apt-get installed no nginx")],
)
def test_what_stays_missing_is_named(
    command: str, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An index of Node.js that cannot be asked costs the tests of PM2 alone; apt-get's failure ends the set-up."""
    monkeypatch.setattr(install, "_missing", lambda: [p for p in programs.PROGRAMS if p.command == command])
    monkeypatch.setattr(install, "_install_packages", lambda packages: None)
    monkeypatch.setattr(install, "_install_node", lambda: None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert install.main() == code
    assert said in "".join(capsys.readouterr())


def _web_server(port: int, folder: Path) -> process.Process:
    argv = [sys.executable, "-m", "http.server", str(port), "--bind", ports.HOST]
    return process.Process(argv, lambda web: web.listens(port), log=folder / "log")
