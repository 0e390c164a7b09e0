"""The gate as each CI system's own component has it: what its runner hands to a shell, and with which environment.

Kept of the originals, as their documentation has it: expressions are filled in before the shell starts; GitHub runs
`bash --noprofile --norc -eo pipefail` with GITHUB_OUTPUT; GitLab takes an input's default where none is given, and runs
the lines of a script in one shell; CircleCI packs an include into the text; Azure reads a task's inline script; a
Jenkins library's resource is written into the workspace. None of the systems is run.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

FOLDER = Path(__file__).parents[3] / "deploy" / "ci"
Given = Mapping[str, str]
Step = tuple[str, dict[str, str]]


def _filled(pattern: str, value: object, values: Mapping[str, object]) -> str:
    return re.sub(pattern, lambda found: str(values[found[1]]), str(value))


def github(given: Given, folder: Path) -> Step:
    action = YAML(typ="safe").load(FOLDER / "action" / "action.yml")
    values = {f"inputs.{name}": given.get(name, about.get("default", "")) for name, about in action["inputs"].items()}
    values["github.action_path"] = str(FOLDER / "action")
    (step,) = action["runs"]["steps"]
    env = {name: _filled(r"\$\{\{ (\S+) \}\}", value, values) for name, value in step["env"].items()}
    runs = {"GITHUB_RUN_ID": "1", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_OUTPUT": str(folder / "output")}
    return step["run"], {**env, **runs, "RUNNER_TEMP": str(folder)}


def gitlab(given: Given, folder: Path) -> Step:
    spec, jobs = YAML(typ="safe").load_all((FOLDER / "gitlab/templates/gate.yml").read_text())
    own = {"image": "registry.example.com/healthd:0.1.0", **given}
    values = {name: own.get(name, (about or {}).get("default")) for name, about in spec["spec"]["inputs"].items()}
    job = jobs["$[[ inputs.job ]]"]
    env = {name: _filled(r"\$\[\[ inputs\.(\w+) \]\]", value, values) for name, value in job["variables"].items()}
    env = {name: value.replace("$CI_PIPELINE_ID", given["service"]) for name, value in env.items()}
    return "\n".join(job["script"]), env


def circleci(given: Given, folder: Path) -> Step:
    command = YAML(typ="safe").load(FOLDER / "circleci/src/@orb.yml")["commands"]["gate"]
    values = {name: given.get(name, about.get("default", "")) for name, about in command["parameters"].items()}
    step = command["steps"][0]["run"]
    env = {}
    for name, value in step["environment"].items():
        if included := re.fullmatch(r"<< include\((\S+)\) >>", value):
            env[name] = (FOLDER / "circleci/src" / included[1]).read_text()
        else:
            env[name] = _filled(r"<< parameters\.(\w+) >>", value, values)
    return step["command"], {**env, "CIRCLE_WORKFLOW_ID": given["service"]}


def azure(given: Given, folder: Path) -> Step:
    template = YAML(typ="safe").load(FOLDER / "azure/gate.yml")
    values = {each["name"]: given.get(each["name"], each.get("default", "")) for each in template["parameters"]}
    (step,) = template["steps"]
    known = {"Build.BuildId": given["service"], "Build.SourcesDirectory": str(folder / "sources")}
    known["Build.ArtifactStagingDirectory"] = str(folder)
    (folder / "sources" / "healthd" / "deploy").mkdir(parents=True)
    (folder / "sources" / "healthd" / "deploy" / "ci").symlink_to(FOLDER)
    env = {name: _filled(r"\$\{\{ parameters\.(\w+) \}\}", value, values) for name, value in step["env"].items()}
    env = {name: _filled(r"\$\(([\w.]+)\)", value, known) for name, value in env.items()}
    return step["inputs"]["script"], env


def jenkins(given: Given, folder: Path) -> Step:
    text = (FOLDER / "jenkins/vars/healthdGate.groovy").read_text()
    written = re.findall(r"libraryResource\('(.+?)'\)", text)
    assert written == ["healthd/gate.sh"]
    (folder / ".healthd-gate.sh").write_text((FOLDER / "jenkins/resources" / written[0]).read_text())
    names = dict(re.findall(r"(\w+): '([A-Z_]+)'", text[text.index("names = [") :]))
    (script,) = re.findall(r"script: '(.+)'\)", text)
    own: dict[str, Any] = {variable: given.get(name, "") for name, variable in names.items()}
    return script, {**own, "BUILD_TAG": f"jenkins-api-{given['service']}"}


COMPONENTS: list[Callable[[Given, Path], Step]] = [github, gitlab, circleci, azure, jenkins]
