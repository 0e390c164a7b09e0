"""The pipelines as GitHub, GitLab and the shell read them. That they gate is in tests/acceptance/deploy/test_ci.py."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.acceptance.guide import blocks_of
from tests.servers.programs import require
from tests.unit.shipped import foreign

FOLDER = Path(__file__).parents[4] / "deploy" / "ci"


def read(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(FOLDER / name)
    return loaded


def scripts() -> dict[str, str]:
    steps = [step for job in read("github.yml")["jobs"].values() for step in job["steps"]]
    github = {f"github {step['name']}": step["run"] for step in steps if "run" in step}
    jobs = {name: job for name, job in read("gitlab.yml").items() if isinstance(job, dict)}
    gitlab = {f"gitlab {name}": "\n".join(job["script"]) for name, job in jobs.items() if "script" in job}
    for file in sorted((FOLDER.parents[1] / ".github/workflows").glob("*.yml")):
        for job in YAML(typ="safe").load(file)["jobs"].values():
            named = [(step.get("name", step.get("run")), step) for step in job["steps"] if "run" in step]
            github |= {f"{file.stem} {name}": step["run"] for name, step in named}
    return {**github, **gitlab, "gate.sh": (FOLDER / "gate.sh").read_text()}


def test_the_library_of_jenkins_has_a_file_of_its_own() -> None:
    """Jenkins aborts `libraryResource` where a link leads out of the library (LibraryAdder compares real paths)."""
    copy = FOLDER / "jenkins/resources/healthd/gate.sh"
    assert not copy.is_symlink()
    assert copy.read_text() == (FOLDER / "gate.sh").read_text(), f"cp deploy/ci/gate.sh {copy.relative_to(FOLDER)}"


SCHEMAS = [
    ("github-workflows", FOLDER / "github.yml"),
    ("gitlab-ci", FOLDER / "gitlab.yml"),
    ("github-actions", FOLDER / "action/action.yml"),
    *[("github-workflows", file) for file in sorted((FOLDER.parents[1] / ".github/workflows").glob("*.yml"))],
]


@pytest.mark.parametrize(("schema", "file"), SCHEMAS, ids=str)
def test_its_own_schema_takes_it(schema: str, file: Path) -> None:
    """That of SchemaStore, and of GitLab."""
    foreign.passes(schema, file.read_text())


@pytest.mark.parametrize("name", scripts())
def test_shellcheck_finds_nothing(name: str) -> None:
    """In any step."""
    command: list[str | Path] = [require("shellcheck"), "--shell=bash", "-"]
    done = subprocess.run(command, input=scripts()[name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_is_installed_by_name() -> None:
    """Somebody else could have registered the name; what is run beside a token comes by its hash."""
    files = [file for file in FOLDER.rglob("*") if file.is_file()]
    assert [file.name for file in files if re.search(r"(pip|pipx|uvx?|npm) install", file.read_text())] == []


def test_actions_are_named_by_their_commits() -> None:
    """A tag can be moved."""
    for file in (FOLDER / "github.yml", *(FOLDER.parents[1] / ".github/workflows").glob("*.yml")):
        for used in re.findall(r"uses: (\S+)", file.read_text()):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", used), used


def test_no_expression_is_pasted_into_a_script() -> None:
    """What a person typed as a version would be run as a command."""
    assert not [name for name, script in scripts().items() if "${{" in script]


def test_every_way_to_end_gives_the_lock_back() -> None:
    """The last step runs whatever happened before, and so does the last job."""
    *_, last = read("github.yml")["jobs"]["deploy"]["steps"]
    assert (last["if"], "gate unlock" in last["run"]) == ("always()", True)
    pipeline = read("gitlab.yml")
    assert pipeline["unlock"]["stage"] == pipeline["stages"][-1]
    assert pipeline["unlock"]["rules"][-1]["when"] == "always"


def test_a_promotion_needs_the_gate() -> None:
    """It comes after it, and nothing lets a failure of the gate pass."""
    steps = read("github.yml")["jobs"]["deploy"]["steps"]
    names = [step.get("name") for step in steps]
    assert names.index("Deploy") < names.index("Gate") < names.index("Promote")
    assert not [step for step in steps if "continue-on-error" in step]
    assert [step["name"] for step in steps if "if" in step] == ["Keep the verdict", "Give the deploy lock back"]
    pipeline = read("gitlab.yml")
    assert pipeline["stages"].index("gate") < pipeline["stages"].index("promote")
    assert "allow_failure" not in (FOLDER / "gitlab.yml").read_text()
    assert not re.search(r"verify.*\|\|", (FOLDER / "github.yml").read_text() + (FOLDER / "gitlab.yml").read_text())


def test_the_job_with_an_identity_gets_its_command_first() -> None:
    """By the step of the shipped workflow, in a job that has no token."""
    page = (FOLDER.parents[1] / "docs/identities.md").read_text(encoding="utf-8")
    (text,) = [text for kind, text in blocks_of(page) if kind == "yaml" and "id-token" in text]
    installs, asks = YAML(typ="safe").load(text)["jobs"]["gate"]["steps"]
    assert installs in read("github.yml")["jobs"]["deploy"]["steps"]
    assert asks["run"].startswith("healthd gate verify ")
