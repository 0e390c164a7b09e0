"""The command line of the daemon: what each command prints and the code it exits with."""

import asyncio
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE

import aiohttp
import click
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from healthd import __version__
from healthd.cli import main
from tests.servers import daemon, peers, tcp
from tests.servers.command import INSTALLED, healthd
from tests.servers.ports import free_port

GREEN = "checks: {self: {kind: process}}"
UNREACHABLE = "postgresql://u:p4ssw0rd@127.0.0.1:1/x"
RED = f"checks: {{db: {{kind: postgresql, uri: '{UNREACHABLE}'}}, self: {{kind: process}}}}"


def commands(group: click.Command = main, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command that there is."""
    yield path
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield from commands(command, (*path, name))


def found(words: tuple[str, ...]) -> click.Command:
    command: click.Command = main
    for word in words:
        assert isinstance(command, click.Group)
        inner = command.get_command(click.Context(command), word)
        assert inner is not None
        command = inner
    return command


def written(folder: Path, text: str) -> Path:
    file = folder / "healthd.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_command_has_help(words: tuple[str, ...]) -> None:
    """It says how it is used and what it does."""
    done = CliRunner().invoke(main, [*words, "--help"], prog_name="healthd")
    assert done.exit_code == 0
    assert done.output.startswith(f"Usage: {' '.join(('healthd', *words))}")
    summary = done.output.split("\n\n")[1].strip()
    assert len(summary.split()) > 2


def test_help_lists_the_commands() -> None:
    """The installed command names everything that it can do."""
    done = healthd("--help")
    assert done.code == 0
    assert all(re.search(rf"^  {words[0]} +\S", done.out, re.MULTILINE) for words in commands() if len(words) == 1)


def test_every_command_is_documented() -> None:
    """docs/cli.md names each command of the daemon."""
    page = Path("docs/cli.md").read_text(encoding="utf-8")
    own = [words for words in commands() if not isinstance(found(words), click.Group) and words[0] != "gate"]
    assert not [words for words in own if f"`healthd {' '.join(words)}" not in page]


def test_version() -> None:
    """The package's own."""
    assert healthd("--version").out == f"healthd, version {__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["chekc"], "No such command 'chekc'"),
        (["check", "--jsn"], "No such option"),
        (["config"], "Usage: healthd config"),
        (["config", "check"], "Missing argument 'FILE'"),
        (["status", "ftp://127.0.0.1"], "ftp://127.0.0.1 is not a URL: write it as https://"),
        (["status", "--timeout", "0"], "is not more than zero"),
        (["completion", "tcsh"], "is not one of"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_refused(words: list[str], said: str) -> None:
    """A call that makes no sense exits with 2 and says what is wrong with it."""
    done = healthd(*words)
    assert done.code == 2
    assert said in done.err


def test_completion_completes(tmp_path: Path) -> None:
    """The printed script makes bash complete commands and options."""
    script = healthd("completion", "bash")
    assert script.code == 0
    assert "complete -o nosort -F _healthd_completion healthd" in script.out
    asked = {"_HEALTHD_COMPLETE": "bash_complete", "COMP_WORDS": "healthd pre", "COMP_CWORD": "1"}
    assert healthd(env=asked).out == "plain,preflight\n"
    assert all(healthd("completion", shell).out for shell in ("fish", "zsh"))


def test_check_passes(tmp_path: Path) -> None:
    """With nothing unhealthy: a table for people, exit code 0."""
    done = healthd("check", "--config", written(tmp_path, GREEN))
    assert done.code == 0
    assert re.search(r"self +✓ healthy", done.out)


def test_check_fails(tmp_path: Path) -> None:
    """One unhealthy check is exit code 1; JSON carries what was found, with the kind and without the password."""
    done = healthd("check", "--json", env={"HEALTHD_CONFIG": str(written(tmp_path, RED))})
    assert done.code == 1
    found = done.json()
    assert found["db"]["status"] == "unhealthy"
    assert found["db"]["kind"] == "connect"
    assert found["self"]["status"] == "healthy"
    assert "p4ssw0rd" not in done.out + done.err


def test_check_of_some(tmp_path: Path) -> None:
    """Named checks alone are run; a name that is not there exits with 2 and says which there are."""
    file = written(tmp_path, RED)
    assert list(healthd("check", "-c", file, "--json", "self").json()) == ["self"]
    stranger = healthd("check", "-c", file, "redis")
    assert stranger.code == 2
    assert stranger.err == "no check that runs is called redis; there are: db, self.\n"


def test_preflight(tmp_path: Path) -> None:
    """The checklist is the group `preflight`, in its order; without one, what `ready` needs; never nothing."""
    passing = healthd("preflight", "-c", written(tmp_path, f"{GREEN}\ngroups: {{preflight: {{checks: [self]}}}}"))
    assert (passing.code, "self" in passing.out) == (0, True)
    failing = healthd(
        "preflight", "--json", "-c", written(tmp_path, f"{RED}\ngroups: {{preflight: {{checks: [self, db]}}}}")
    )
    assert failing.code == 1
    assert list(failing.json()) == ["self", "db"]
    without = healthd("preflight", "-c", written(tmp_path, GREEN))
    assert without.code == 2
    assert "groups.preflight.checks" in without.err


INVALID = """\
chekcs: {}
checks:
  a: {kind: process, intervall: 5s}
  b: {kind: proces}
  c:
    kind: process
    interval: 5 parsecs
http: {listen: 8080}
"""
PROBLEMS = [
    r":1: chekcs: no such option; did you mean checks\?",
    r":3: checks\.a\.intervall: no such option; did you mean interval\?",
    r":4: checks\.b: no kind of check is called 'proces'; there are: .*process",
    r":7: checks\.c\.interval: .*5 parsecs.* is not a duration: write",
    r":8: http\.listen: write host:port, such as 0\.0\.0\.0:8080",
]


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (INVALID, PROBLEMS),
        ("groups: {ready: {checks: [ghost]}}", [r":1: groups\.ready: names 'ghost', which is not under checks"]),
        ("a: 1\na: 2", [r":2: the key \"a\" is there twice"]),
        ("checks: [", [r":1: "]),
        ("- a list", [r":1: the file must be a mapping"]),
        ("environment: ${NO_SUCH_VARIABLE}", [r":1: environment: not set: NO_SUCH_VARIABLE: set it"]),
    ],
    ids=["keys", "names", "twice", "syntax", "list", "variable"],
)
def test_bad_file_is_refused(tmp_path: Path, text: str, problems: list[str]) -> None:
    """`config check` names every problem with its file, line, key and fix, and exits with 2."""
    file = written(tmp_path, text)
    done = healthd("config", "check", file)
    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == len(problems)
    for problem in problems:
        assert re.search(re.escape(str(file)) + problem, done.err)


@pytest.mark.parametrize("words", [["run"], ["check"], ["preflight"], ["config", "show"]], ids=" ".join)
def test_bad_file_starts_nothing(tmp_path: Path, words: list[str]) -> None:
    """Every command refuses a file in the same way, whether invalid or not there."""
    invalid = healthd(*words, "--config", written(tmp_path, "chekcs: {}"))
    assert (invalid.code, "no such option" in invalid.err) == (2, True)
    absent = healthd(*words, "--config", tmp_path / "absent.yaml")
    assert (absent.code, "cannot be read: No such file" in absent.err) == (2, True)


def test_config_check_names_what_does_not_run(tmp_path: Path) -> None:
    """A valid file exits with 0; checks that are left out are named."""
    done = healthd("config", "check", written(tmp_path, f"{GREEN[:-1]}, off: {{kind: process, enabled: false}}}}"))
    assert done.code == 0
    assert "valid; 1 of 2 checks run" in done.out
    assert "off: does not run" in done.out


def test_config_show_hides_secrets(tmp_path: Path) -> None:
    """The configuration in force, defaults filled in and secrets masked."""
    done = healthd("config", "show", "--config", written(tmp_path, RED))
    assert done.code == 0
    shown = done.json()
    assert shown["checks"]["db"]["timeout"] == "2s"
    assert set(shown["checks"]["db"]["uri"]) == {"*"}
    assert "p4ssw0rd" not in done.out


def test_schema_is_printed() -> None:
    """`config schema` prints a JSON Schema that is one."""
    done = healthd("config", "schema")
    assert done.code == 0
    Draft202012Validator.check_schema(done.json())


def test_run_says_that_the_port_is_taken(tmp_path: Path) -> None:
    """A daemon that cannot listen ends at once with 1 and names the address."""
    with socket.create_server(("127.0.0.1", free_port())) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        done = healthd("run", "--config", written(tmp_path, f"http: {{listen: '{address}'}}\n{GREEN}"), cwd=tmp_path)
    assert done.code == 1
    assert f"cannot listen on {address}: Address already in use" in done.err.splitlines()


async def test_run_says_that_healthd_has_the_port_itself(tmp_path: Path) -> None:
    """As where it is started by hand beside its service."""
    async with daemon.running({"checks": {"self": {"kind": "process"}}}) as running:
        address = f"127.0.0.1:{running.port}"
        file = written(tmp_path, f"http: {{listen: '{address}'}}\n{GREEN}")
        done = await asyncio.to_thread(healthd, "run", "--config", file, cwd=tmp_path)
    assert done.code == 1
    told = f"cannot listen on {address}: Address already in use: healthd itself answers there already; stop that one"
    assert any(line.startswith(told) for line in done.err.splitlines())


async def test_status() -> None:
    """0 when up, 1 when not, with the whole document under --json; a group that is not there cannot be asked for."""
    checks = {"db": {"kind": "postgresql", "uri": UNREACHABLE}, "self": {"kind": "process", "critical": True}}
    settings = {"checks": checks, "groups": {"ready": {"checks": ["self"]}, "data": {"checks": ["db"]}}}
    async with daemon.running(settings) as running:
        url = f"127.0.0.1:{running.port}"
        async with aiohttp.ClientSession(running.url, headers=daemon.AUTHORIZED) as client:
            for name in checks:
                await client.post(f"/checks/{name}/run")
        whole = healthd("status", "--json", env={"HEALTHD_URL": running.url})
        assert whole.code == 0
        assert whole.json()["overall"] == "degraded"
        people = healthd("status", url, "--group", "data")
        assert people.code == 1
        assert people.out.splitlines()[0] == "not ready"
        assert re.search(r"db +✗ unhealthy +connect", people.out)
        nobody = healthd("status", url, "--group", "nobody")
        assert nobody.code == 3
        assert "answered 404: groups are: data, live, preflight, ready, startup" in nobody.err


async def test_status_of_what_is_no_healthd(peer: peers.Peer) -> None:
    """Exit code 3 for whatever cannot be asked, with the reason in one line, and never the password of a URL. Who waits
    longer than a moment is told so first."""
    peer.answer("GET", "/page/health", peers.Answer(body="<html>"))
    peer.answer("GET", "/other/health", peers.Answer(json={"status": "UP", "checks": ["disk"]}))
    with tcp.silent() as silent:
        reasons = {
            "http://me:p4ssw0rd@127.0.0.1:1": "is the daemon running, and is this its port?",
            f"{peer.url}/page": "is this the address of the daemon, and not of an application?",
            f"{peer.url}/other": "answered 200: this is no healthd: is it the address of an application?",
            f"http://127.0.0.1:{silent.port}": "no answer within 3 s",
        }
        for url, reason in reasons.items():
            done = await asyncio.to_thread(healthd, "status", url, "--timeout", "3")
            assert (done.code, done.out) == (3, "")
            *before, said = done.err.splitlines()
            assert said.endswith(reason)
            assert all(line.endswith(" has not answered yet; waiting for up to 3 s") for line in before)
            assert len(before) <= 1
            assert before or str(silent.port) not in url
            assert "p4ssw0rd" not in done.err


def test_output_may_be_cut_short() -> None:
    """`healthd config schema | head -1` ends quietly."""
    with subprocess.Popen([INSTALLED, "config", "schema"], stdout=PIPE, stderr=PIPE, text=True) as writing:
        assert writing.stdout is not None
        assert writing.stderr is not None
        writing.stdout.readline()
        writing.stdout.close()
        assert writing.stderr.read() == ""


@pytest.mark.parametrize("words", [["check"], ["check", "--json"]], ids=" ".join)
def test_results_that_cannot_be_written_change_no_verdict(tmp_path: Path, words: list[str]) -> None:
    """A disk that is full: 1 would say that a check is unhealthy."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [INSTALLED, *words, "-c", written(tmp_path, GREEN)], stdout=full, stderr=PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (0, "standard output could not be written: No space left on device\n")


@pytest.mark.parametrize(("output", "code"), [("/dev/full", 3), (None, 0)], ids=["full", "reader gone"])
def test_a_command_that_only_prints_says_that_it_could_not(output: str | None, code: int) -> None:
    """A script goes on with half a file else; whoever has read enough, as `head`, is no error."""
    reading, writing = os.pipe()
    os.close(reading)
    with Path(output or os.devnull).open("w") as full, os.fdopen(writing, "w") as unread:
        done = subprocess.run(
            [INSTALLED, "config", "schema"], stdout=full if output else unread, stderr=PIPE, text=True, check=False
        )
    assert done.returncode == code
    assert done.stderr == ("standard output could not be written: No space left on device\n" if output else "")


def test_letters_that_a_terminal_lacks_are_no_verdict(tmp_path: Path) -> None:
    """Those of the table included."""
    done = subprocess.run(
        [INSTALLED, "check", "-c", written(tmp_path, GREEN)],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("check")
