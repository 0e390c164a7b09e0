"""Every block of the documentation is what it says: a configuration that is valid, a call that is taken, a script that
a shell reads. The guides that end with a rollback are carried out in `tests/acceptance`.

A block that nothing here can run says why in the page's source, and all of these are listed by the last test.
"""

import ast
import asyncio
import json
import re
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import kubernetes_validate
import pytest
from botocore.session import Session
from botocore.validate import ParamValidator
from cryptography.hazmat.primitives.asymmetric import rsa
from jsonschema import Draft7Validator
from pydantic import BaseModel
from ruamel.yaml import YAML

from docs.generator.config import DEPLOY_TOOLS, EXAMPLES
from healthd.checks.misconfigured import MisconfiguredConfig
from healthd.config.file import parse
from healthd.web.parsing import read_body
from healthd_deploy.migrate import document_file, sql_file
from healthd_gates.actions.traefik_file import WeightsFile
from healthd_gates.api.requests import VerifyBody
from healthd_gates.config.settings import Config
from healthd_gates.domain.errors import Refusal
from healthd_gates.domain.request import PushedEvidence
from tests.servers.programs import require
from tests.unit.docs.blocks import ROOT, Block, blocks
from tests.unit.gates.hooks.test_github import _pem
from tests.unit.shipped import foreign
from tests.unit.shipped.kubernetes import cluster

ALL = list(blocks())
_MOST_NOT_RUN = 8
_TARGETS = {name: f"http://{name}.internal:3000" for name in ("blue", "green")}
_AROUND = {
    "services": {"api": {"source": {"kind": "push"}, "targets": _TARGETS}, "api-staging": {"source": {"kind": "push"}}}
}
_FOREIGN = {"jobs": "github-workflows", "gate": "gitlab-ci"}
_CURL_BODY = re.compile(r"""-d (?:'(?P<plain>\{.*?\})'|"(?P<quoted>\{.*?\})")(?=\s|\)|$)""", re.DOTALL)
_GATE_CALLS = ("/gates/verify",)


class EverythingIsSet(dict[str, str]):
    """An environment in which every variable has a value that fits its name."""

    def get(self, name: str, default: Any = None) -> str:
        if name.endswith("_HASH"):
            return f"sha256:{'5' * 64}"
        scheme = {"URI": name.lower().partition("_")[0], "URL": "https"}.get(name.rpartition("_")[2])
        name_of_it = "0" if scheme == "redis" else "database"
        return f"{scheme}://localhost/{name_of_it}" if scheme else f"value-of-{name}"


def in_words(block: Block, secrets: Path) -> str:
    """The text, with the files that it takes secrets from put somewhere that exists."""
    for name in re.findall(r"\$\{file:/run/secrets/([^}]+)\}", block.text):
        key = (
            _pem(rsa.generate_private_key(65537, 2048))
            if name.endswith(".pem")
            else f"a-word-that-nobody-knows-of-{name}"
        )
        (secrets / name).write_text(key)
    return block.text.replace("${file:/run/secrets/", f"${{file:{secrets}/")


def check_configuration(block: Block, text: str, tree: Mapping[str, Any]) -> None:
    """A whole one, or a part of one: what it needs beside it and does not show is a service called api."""
    around = {key: value for key, value in _AROUND.items() if key not in tree}
    whole = text + "".join(f"\n{key}: {json.dumps(value)}\n" for key, value in around.items())
    config = parse(whole, str(block), Config, EverythingIsSet())
    assert not any(isinstance(check, MisconfiguredConfig) for check in config.active_checks.values())


def check_yaml(block: Block, secrets: Path) -> None:
    text = in_words(block, secrets)
    tree = YAML(typ="safe").load(text)
    if tree is None or isinstance(tree, list):
        assert tree is None or all("name" in step or "task" in step for step in tree)  # of Ansible, of Azure
    elif "apiVersion" in tree:
        for version in cluster.VERSIONS:
            kubernetes_validate.validate(dict(tree), version, strict=True)
    elif "image" in tree:
        check_chart(block, text, tree)
    elif any("image" in service for service in tree.get("services", {}).values()):
        foreign.passes("compose-spec", json.dumps(tree))
    elif "entryPoints" in tree or "services" in tree.get("http", {}):
        check_traefik(text, tree, secrets)
    elif tree.keys() <= Config.model_fields.keys():
        check_configuration(block, text, tree)
    elif tree.keys() == {"source"}:
        check_configuration(block, "services:\n  api:\n" + re.sub("(?m)^", "    ", text), {"services": {}})
    elif {"up", "batches"} & tree.keys():
        document_file.read(Path("0001_example.yaml"), text, "")
    elif any(key in tree for key in _FOREIGN):
        schema = next(name for key, name in _FOREIGN.items() if key in tree)
        whole = {"on": {"workflow_dispatch": None}, **tree} if "jobs" in tree else tree
        foreign.passes(schema, json.dumps(whole))
    else:
        check_tool(block, text, tree)


def check_chart(block: Block, text: str, tree: Mapping[str, Any]) -> None:
    """Values of the Helm chart, and the configuration that is one of them."""
    chart = ROOT / "deploy/helm/healthd"
    defaults = YAML(typ="safe").load(chart / "values.yaml")  # Helm looks at the values laid over these
    Draft7Validator(json.loads((chart / "values.schema.json").read_text())).validate(defaults | tree)
    config = re.search(r"(?m)^config:\n((?: .*\n)+)", text)
    assert config
    check_configuration(block, dedent(config[1]), tree["config"])


def check_traefik(text: str, tree: Mapping[str, Any], folder: Path) -> None:
    """A file that the action `traefik` takes over. What else Traefik is given is started in test_traefik_guide.py."""
    if "http" not in tree or "routers" in tree["http"]:
        return
    file, (service,) = folder / "weights.yml", tree["http"]["services"]
    file.write_text(text)
    asyncio.run(WeightsFile(file, service).look())


def check_tool(block: Block, text: str, tree: Mapping[str, Any]) -> None:
    """The configuration of a deploy tool; what all of them share is shown without what only one has."""
    tool = "migrate" if "migrations" in block.page.name else "nginx"
    tool = "kubernetes" if "application" in tree else tool
    if "traffic" in tree:
        tool = "haproxy" if "backend" in tree["traffic"] else "traefik"
    model: type[BaseModel] = DEPLOY_TOOLS[tool]
    example = YAML(typ="safe").load(ROOT / "deploy" / EXAMPLES["nginx" if tool == "migrate" else tool])
    rest = {key: example[key] for key in example if key not in tree and key in model.model_fields}
    whole = text + "".join(f"\n{key}: {json.dumps(value)}\n" for key, value in rest.items())
    parse(whole, str(block), model, EverythingIsSet())


AWS_CALLS = {  # what the CLI is given as a file: the SDK's shape of it, by a key that only it has
    "deploymentConfiguration": ("ecs", "UpdateServiceRequest"),
    "deploymentGroupName": ("codedeploy", "CreateDeploymentGroupInput"),
}


def check_json(block: Block, _secrets: Path) -> None:
    document = json.loads(block.text)
    if "Statement" in document:  # that its actions are those that are called is in test_permissions.py
        assert all({"Effect", "Action", "Resource"} == statement.keys() for statement in document["Statement"])
    elif call := next((AWS_CALLS[key] for key in document if key in AWS_CALLS), None):
        service, name = call
        shape = Session().get_service_model(service).shape_for(name)
        assert ParamValidator().validate(document, shape).generate_report() == ""
        assert document.keys() <= shape.members.keys()
    elif "type" in document:
        kinds = {re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower() for kind in Refusal.__subclasses__()}
        assert document["type"].removeprefix("urn:healthd:") in kinds
    else:
        read_body(block.text.encode(), VerifyBody if "service" in document else PushedEvidence)


def check_shell(block: Block, _secrets: Path) -> None:
    """As a shell reads it. That its healthd commands are taken is in test_docs_commands.py; here, that what curl sends
    is."""
    lines = block.text.splitlines()
    if block.language == "console":
        lines = [line[2:] for line in lines if line.startswith(("$ ", "# "))]
    script = "\n".join(lines)
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for sent in _CURL_BODY.finditer(script):
        if any(call in script for call in _GATE_CALLS):
            body = sent["plain"] or re.sub(r"\$\w+", "1.0", sent["quoted"].replace('\\"', '"'))
            read_body(body.encode(), VerifyBody)


def check_sql(block: Block, _secrets: Path) -> None:
    """A migration; what else there is of SQL is for the server of its own test."""
    if "-- migrate:" in block.text:
        sql_file.read(Path("0001_example.sql"), block.text, "")
    else:
        assert block.text.rstrip().endswith(";")


def check_nginx(block: Block, tmp_path: Path) -> None:
    (tmp_path / "api.conf").write_text("upstream api { server 127.0.0.1:9; }\n")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-subj",
        "/CN=api.example.com",
    ]
    command = [str(require("openssl")), *made, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    text = block.text.replace("/etc/nginx/healthd/api.conf", str(tmp_path / "api.conf"))
    text = text.replace("/var/log/nginx/", f"{tmp_path}/")
    text = re.sub(r"(ssl_certificate(?:_key)?) \S+/(fullchain|privkey)\.pem;", lambda it: (
        f"{it[1]} {tmp_path}/{'cert' if it[2] == 'fullchain' else 'key'}.pem;"), text)  # fmt: skip
    (tmp_path / "nginx.conf").write_text(f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{text}\n}}\n")
    looked = [str(require("nginx")), "-t", "-q", "-e", "stderr", "-p", str(tmp_path), "-c", f"{tmp_path}/nginx.conf"]
    done = subprocess.run(looked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def check_systemd(block: Block, tmp_path: Path) -> None:
    """A drop-in of the shipped unit, as systemd reads both."""
    unit = (ROOT / "deploy/systemd/healthd.service").read_text()
    (tmp_path / "healthd.service").write_text(re.sub(r"(?m)^Exec(\w+)=\S+", r"Exec\1=/bin/true", unit))
    (tmp_path / "healthd.service.d").mkdir()
    (tmp_path / "healthd.service.d" / "override.conf").write_text(block.text)
    command: list[str | Path] = [require("systemd-analyze"), "verify", "--man=no", str(tmp_path / "healthd.service")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def check_javascript(block: Block, tmp_path: Path) -> None:
    (tmp_path / "example.js").write_text(block.text)
    subprocess.run([require("node"), "--check", tmp_path / "example.js"], check=True)


def check_haproxy(block: Block, tmp_path: Path) -> None:
    (tmp_path / "haproxy.cfg").write_text(block.text.replace("/run/haproxy/", f"{tmp_path}/"))
    subprocess.run([require("haproxy"), "-c", "-q", "-f", tmp_path / "haproxy.cfg"], check=True)


CHECKS: dict[str, Callable[[Block, Path], object]] = {
    "yaml": check_yaml,
    "json": check_json,
    "sh": check_shell,
    "console": check_shell,
    "sql": check_sql,
    "nginx": check_nginx,
    "haproxy": check_haproxy,
    "ini": check_systemd,
    "js": check_javascript,
    "python": lambda block, _: ast.parse(block.text),
    "toml": lambda block, _: tomllib.loads(block.text),
    "": lambda block, _: None,  # a picture, or what a command prints
}


@pytest.mark.parametrize("block", [block for block in ALL if block.reason is None], ids=str)
def test_a_block_is_what_it_says(block: Block, tmp_path: Path) -> None:
    check = CHECKS.get(block.language)
    assert check is not None, f"nothing runs {block.language}: say why not, as <!-- not run: … -->, or add it here"
    check(block, tmp_path)


def test_what_is_not_run_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    """And there is little of it."""
    left = [block for block in ALL if block.reason is not None]
    with capsys.disabled():
        print("\nnot run:", *(f"  {block} ({block.language}): {block.reason}" for block in left), sep="\n")
    assert all(len(str(block.reason)) >= 20 for block in left)
    assert len(left) <= _MOST_NOT_RUN
