"""A call that cannot be read is no verdict: neither that a deploy failed nor that it was inconclusive."""

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


def test_a_fault_of_the_tool_ends_with_3(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_words: object, **_more: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("healthd_deploy.nginx.command.config_or_exit", broken)
    assert CliRunner().invoke(main, ["nginx", "switch", "blue", "--config", "x.yaml"]).exit_code == 3


def test_help_is_no_mistake() -> None:
    assert CliRunner().invoke(main, ["nginx", "switch", "--help"]).exit_code == 0
