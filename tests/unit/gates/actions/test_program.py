"""Whether the program of an action is there is found out before a rollback needs it."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from healthd.cli import main
from healthd.runtime.program import PATH, trouble_with
from healthd_gates.actions.command import CommandConfig
from healthd_gates.domain.errors import InvalidRequest
from healthd_gates.engine.validation import check_action
from healthd_gates.sources.contract import Arm, ArmError, Arms

TWO = ("blue", "green")
ARMS = Arms("api", Arm("2.0", target="green"), Arm("1.0", target="blue"), TWO)
CONFIG = """\
services:
  api: {source: {kind: push}, on_fail: [back]}
actions:
  back:
    kind: command
    argv: [%s, $baseline_target]
"""


def command(*argv: str, **changes: Any) -> CommandConfig:
    return CommandConfig.model_validate({"kind": "command", "argv": argv, **changes})


def test_healthds_own_programs_are_found_first() -> None:
    """They are in its virtual environment, which no shell of an action has activated."""
    assert PATH.split(":")[0] == str(Path(sys.executable).parent)
    assert command("healthd-deploy").problem_here({}) is None


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    """With where it was looked for, and why it cannot be run."""
    script = tmp_path / "switch"
    script.write_text("#!/opt/none/node\n")
    assert "there is no program swich in /" in (command("swich").problem_here({}) or "")
    assert command(str(tmp_path / "none")).problem_here({}) == f"{tmp_path}/none is not there"
    assert command("./none", cwd=tmp_path).problem_here({}) == f"{tmp_path}/none is not there"
    assert command("true", cwd=tmp_path / "none").problem_here({}) == f"the folder {tmp_path}/none is not there"
    assert command(str(script)).problem_here({}) == f"{script} may not be executed by this user"
    script.chmod(0o755)
    assert command(str(script)).problem_here({}) == f"{script} is a script for /opt/none/node, which is not there"
    script.write_text(f"#!{sys.executable} -I\n")
    assert command("./switch", cwd=tmp_path).problem_here({}) is None
    assert trouble_with("switch", str(tmp_path), Path("/")) is None


def test_the_path_is_the_one_that_it_will_have(tmp_path: Path) -> None:
    """What the configuration says comes before what the daemon hands on."""
    (tmp_path / "only-here").write_text("")
    (tmp_path / "only-here").chmod(0o755)
    daemon = {"PATH": str(tmp_path)}
    assert command("only-here").problem_here(daemon) is not None
    assert command("only-here", pass_env=["PATH"]).problem_here(daemon) is None
    assert command("only-here", pass_env=["PATH"], env={"PATH": "/bin"}).problem_here(daemon) is not None
    assert command("healthd-deploy", pass_env=["PATH"]).problem_here(daemon) is None


def test_no_gate_starts_that_could_not_go_back() -> None:
    """The caller is told while nothing is deployed yet."""
    with pytest.raises(InvalidRequest, match=r"no program swich in .*; until then only"):
        check_action("back", command("swich"), ARMS)
    check_action("back", command("true"), ARMS)


@pytest.mark.parametrize(
    ("arms", "target"),
    [
        (ARMS, "blue"),
        (Arms("api", Arm("2.0", target="green"), None, TWO), "blue"),
        (Arms("api", Arm("2.0", target="green"), Arm("1.0"), TWO), "blue"),
        (Arms("api", Arm("2.0", target="green"), None, (*TWO, "red")), None),
        (Arms("api", Arm("2.0"), None, TWO), None),
    ],
    ids=["named", "no baseline", "a baseline without a place", "three places", "a candidate without a place"],
)
def test_of_two_places_it_goes_back_to_the_other_one(arms: Arms, target: str | None) -> None:
    """A request need not say what there is no doubt about."""
    assert arms.baseline_target == target
    action = command("true", "$baseline_target")
    if target is None:
        with pytest.raises(ArmError, match=r"baseline\.target: the command's \$baseline_target needs it"):
            action.check(arms)
    else:
        action.check(arms)


def test_it_does_not_go_back_to_where_it_is() -> None:
    """A slip of the pen in a pipeline would keep the bad version where it is, and call that a rollback."""
    same = Arms("api", Arm("2.0", target="green"), Arm("1.0", target="green"), TWO)
    with pytest.raises(ArmError, match="nowhere else to roll back to"):
        command("true", "$baseline_target").check(same)
    command("true", "$baseline").check(same)  # on one host both versions have one place


@pytest.mark.parametrize(("program", "code"), [("healthd-deploy", 0), ("swich", 2)])
def test_the_check_of_a_configuration_looks_for_it(tmp_path: Path, program: str, code: int) -> None:
    """With the line; for a daemon on another host it does not."""
    file = tmp_path / "healthd.yaml"
    file.write_text(CONFIG % program)
    checked = CliRunner().invoke(main, ["config", "check", str(file)], env={**os.environ})
    assert checked.exit_code == code, checked.output
    if code:
        assert f"{file}:6: actions.back.argv: there is no program swich in" in checked.output
    elsewhere = CliRunner().invoke(main, ["config", "check", str(file), "--elsewhere"])
    assert elsewhere.exit_code == 0, elsewhere.output


CHECKS = """
checks:
  db: {kind: postgresql, critical: true, uri: "${NO_SUCH_VARIABLE}"}
  site: {kind: tls, host: example.org, ca_file: /no/such.pem}
services:
  api:
    source: {kind: prometheus, url: "http://a", requests: x_total, errors: y_total, tls: {ca: /no/ca.pem}}
    policy: errors
policies:
  errors: {criteria: [{kind: error_rate, limit: 5%}], observe: {min: 5s, max: 1m}}
"""


def test_the_check_of_a_configuration_tells_what_is_not_here(tmp_path: Path) -> None:
    """The daemon would start without it and report it; for a daemon on another host nothing is looked for."""
    file = tmp_path / "healthd.yaml"
    file.write_text(CHECKS)
    checked = CliRunner().invoke(main, ["config", "check", str(file)])
    assert checked.exit_code == 0, checked.output
    for told in (
        f"{file}:3: checks.db: not set here: NO_SUCH_VARIABLE; this critical check would be unhealthy",
        f"{file}:4: checks.site.ca_file: /no/such.pem is not there; this check would be unhealthy",
        f"{file}:7: services.api.source.tls.ca: /no/ca.pem is not there; no gate could be judged by this source",
    ):
        assert told in checked.output
    elsewhere = CliRunner().invoke(main, ["config", "check", str(file), "--elsewhere"])
    assert "not there" not in elsewhere.output


def test_a_relative_program_is_looked_for_where_it_will_run(tmp_path: Path) -> None:
    """Which is not where the file of the configuration is; the message says so."""
    here = tmp_path / "switch.sh"
    here.write_text("#!/bin/sh\n")
    here.chmod(0o755)
    assert command("./switch.sh", cwd=str(tmp_path)).problem_here({}) is None
    problem = command("./switch.sh").problem_here({})
    assert problem is not None
    assert problem.startswith(
        "/switch.sh is not there: ./switch.sh is looked for below cwd, which is /; write its whole"
    )


def test_what_cannot_be_handed_on_has_a_cure() -> None:
    """healthd's own token, above all: an action is not to act in its name."""
    with pytest.raises(ValueError, match=r"HEALTHD_TOKEN cannot be handed on.*under another name"):
        command("true", pass_env=["HEALTHD_TOKEN"])
