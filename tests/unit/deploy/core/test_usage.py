"""A call that cannot be read is no verdict: neither that a deploy failed nor that it was inconclusive."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from healthd_deploy.cli import main


@pytest.mark.parametrize(
    "words",
    [
        ["--nope"],
        ["ngnix"],
        ["nginx", "blue-gren", "1.0"],
        ["nginx", "blue-green", "--config", "x.yaml"],
        ["nginx", "blue-green", "1.0", "--nope", "--config", "x.yaml"],
        ["traefik", "switch", "blue"],
        ["host", "release", "1.0", "--config", "/"],
    ],
    ids=" ".join,
)
def test_a_mistake_of_the_call_ends_with_3(words: list[str]) -> None:
    refused = CliRunner().invoke(main, words)
    assert (refused.exit_code, "Error: " in refused.output) == (3, True), refused.output


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["nginx", "blue-green", "1.0", "--key", "", "-c", "x.yaml"], "'--key'"),
        (["haproxy", "blue-green", "1.0", "--key=", "-c", "x.yaml"], "'--key'"),
        (["traefik", "switch", "", "-c", "x.yaml"], "'TARGET'"),
        (["host", "release", "", "-c", "x.yaml"], "'VERSION'"),
    ],
)
def test_a_variable_that_nothing_has_set_is_no_value(words: list[str], named: str) -> None:
    """A key that is empty would be a new one at each run, so that a job that runs again joins nothing."""
    refused = CliRunner().invoke(main, words)
    told = f"Invalid value for {named}: it is empty: is the variable that holds it set?"
    assert (refused.exit_code, told in refused.output) == (3, True), refused.output


def test_a_fault_of_the_tool_ends_with_3(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_words: object, **_more: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("healthd_deploy.nginx.command.config_or_exit", broken)
    assert CliRunner().invoke(main, ["nginx", "switch", "blue", "--config", "x.yaml"]).exit_code == 3


def test_help_is_no_mistake() -> None:
    assert CliRunner().invoke(main, ["nginx", "switch", "--help"]).exit_code == 0


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["ngnix"], "Did you mean nginx?"),
        (
            ["switch"],
            "Did you mean healthd-deploy haproxy switch or healthd-deploy nginx switch or "
            "healthd-deploy traefik switch?",
        ),
    ],
)
def test_what_was_probably_meant(words: list[str], meant: str) -> None:
    """Every tool that has such a command: the first in the list is no better guess than another."""
    assert meant in CliRunner().invoke(main, words, prog_name="healthd-deploy").output


@pytest.mark.parametrize("changed", ["test", "reload", "release"])
def test_a_program_that_is_not_there_ends_with_3(tmp_path: Path, changed: str) -> None:
    """It is a mistake of the configuration, found before anything is done."""
    (tmp_path / "api.conf").write_text('# healthd-deploy {"live": "blue"}\n')
    upstream = {"file": str(tmp_path / "api.conf"), "name": "api", "targets": {"blue": ["a:1"], "green": ["b:1"]}}
    programs = {"test": ["true"], "reload": ["true"], "release": ["true"], changed: ["/nowhere/relaese"]}
    upstream |= {"test": programs["test"], "reload": programs["reload"], "pid": str(tmp_path / "pid")}
    said = {"service": "api", "upstream": upstream, "release": {"argv": programs["release"]}}
    said["healthd"] = {"url": "http://127.0.0.1:9"}
    (tmp_path / "deploy.json").write_text(json.dumps(said))
    told = CliRunner().invoke(main, ["nginx", "blue-green", "1.1", "--dry-run", "-c", str(tmp_path / "deploy.json")])
    assert (told.exit_code, "the program /nowhere/relaese is not there" in told.output) == (3, True), told.output
