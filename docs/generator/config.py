"""The reference of the configuration, and that of the deploy tools' own files."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable

from pydantic import BaseModel

from docs.generator.examples import example
from docs.generator.options import own_fields, row
from docs.generator.sections import Section, kind_of, sections
from healthd.app.health import UNTIL_RESTART
from healthd.checks import find_kind
from healthd.checks.contract import CheckConfig
from healthd.notifiers import NOTIFIERS
from healthd.notifiers.contract import NotifierConfig
from healthd_deploy.aws.settings import BlueGreenConfig, RollingConfig
from healthd_deploy.core.settings import DeployConfig
from healthd_deploy.haproxy.settings import HAProxyConfig
from healthd_deploy.host.settings import HostConfig
from healthd_deploy.kubernetes.settings import KubernetesConfig
from healthd_deploy.migrate.settings import MigrateConfig
from healthd_deploy.nginx.settings import NginxConfig
from healthd_deploy.traefik.settings import TraefikConfig
from healthd_gates.config.settings import Config

NOTE = "<!-- Drawn from the code by `make docs`; do not edit by hand. -->\n"
DEPLOY_TOOLS: dict[str, type[BaseModel]] = {
    "aws blue-green": BlueGreenConfig,
    "aws rolling": RollingConfig,
    "haproxy": HAProxyConfig,
    "host": HostConfig,
    "kubernetes": KubernetesConfig,
    "migrate": MigrateConfig,
    "nginx": NginxConfig,
    "traefik": TraefikConfig,
}
EXAMPLES = {
    "aws blue-green": "aws/blue-green.yaml",
    "aws rolling": "aws/rolling.yaml",
    "haproxy": "haproxy/blue-green.yaml",
    "host": "host/release.yaml",
    "kubernetes": "kubernetes/blue-green.yaml",
    "migrate": "migrate/migrate.yaml",
    "nginx": "nginx/blue-green.yaml",
    "traefik": "traefik/blue-green.yaml",
}
"""The file of each deploy tool that ships, in `deploy/`."""
_INTRODUCTION = """\
The sections are in the order of the file, each under the path that its options have in it: `NAME` is a name of yours,
`[]` an entry of a list, and the word in brackets the `kind` of the entry. Every option can be linked to by its path.

| type | is written |
| --- | --- |
| duration | a number with its unit: `250ms`, `30s`, `5m`, `2h`, `1h30m`, `90d`; more than `0s`, unless `0s` is named |
| percentage | with its sign: `5%`, `0.5%`; from `0%` to `100%`; 0.5 could be either, and is refused |
| size | in bytes, or with a unit: `512MiB`, `2GB` |
| time | ISO 8601 with a zone: `2026-12-01T01:00:00Z` |
| secret text | as text; it appears in no output, log or error |

Any text may hold `${VAR}`, `${VAR:-default}` or `${file:/path}`; `$$` is a dollar sign. An unknown key is refused.
[Many services](../many-services.md) says how several files, templates and defaults work together.
An option without a default that is not required is unset. `healthd config schema` prints all of this as JSON Schema,
`healthd config check FILE` validates a file, and `healthd config example full` prints one that shows every option.

**A reload** (SIGHUP) applies every option but those whose meaning says that they need a restart; the daemon names those
in its log when a reload changes them, and keeps the old value. A gate that runs keeps the policy with which it began.
"""


def config_page() -> str:
    found = list(sections(Config))
    parts = [f"# Configuration reference\n\n{NOTE}\n{_INTRODUCTION}", _contents(found), "## The file\n"]
    parts += [_table(Section("", "", Config), found), *(_with_example(section, found) for section in _once(found))]
    return "\n".join(parts)


def deploy_page() -> str:
    shared = list(sections(DeployConfig))
    parts = [
        f"# Reference of the deploy tools' configuration\n\n{NOTE}",
        "What the files for `healthd-deploy` hold, written as [healthd's own](config.md): paths, types, `${VAR}`.\n",
        "## Every deploy tool\n",
        _table(Section("", "", DeployConfig), shared),
        *(_section(section, shared) for section in _once(shared)),
    ]
    told = {section.model for section in shared}
    for tool, model in DEPLOY_TOOLS.items():
        own = [Section(s.path, tool, s.model, s.base) for s in sections(model) if s.model not in told]
        parts += [
            f"## {tool}\n\nAn example: [`{EXAMPLES[tool]}`](../../deploy/{EXAMPLES[tool]}).\n",
            _table(Section("", tool, model, DeployConfig), [*own, *shared]),
        ]
        parts += [_section(section, [*own, *shared]) for section in _once(own)]
    return "\n".join(parts)


def _once(found: Iterable[Section]) -> list[Section]:
    """Each model where it stands first."""
    return list({section.model: section for section in reversed(list(found))}.values())[::-1]


def _contents(found: list[Section]) -> str:
    tops: dict[str, list[str]] = {}
    for section in _once(found):
        if section.kind == kind_of(section.model):
            link = f"[`{section.kind or section.path}`](#{section.anchor})"
            tops.setdefault(re.split(r"[.\[]", section.path)[0], []).append(link)
    return "\n".join(f"- {', '.join(links)}" for links in tops.values()) + "\n"


def _section(section: Section, found: list[Section]) -> str:
    is_whole = not section.kind and re.fullmatch(r"\w+(\.NAME|\[\])?", section.path)
    level = "##" if is_whole else "###"
    kind = f" ({section.kind})" if section.kind else ""
    parts = [f'<a id="{section.anchor}"></a>', f"{level} `{section.path}`{kind}"]
    if about := _about(section):
        parts.append(about)
    if options := _table(section, found):
        parts.append(options.rstrip("\n"))
    return "\n\n".join(parts) + "\n"


def _with_example(section: Section, found: list[Section]) -> str:
    shown = _example(section)
    return _section(section, found) + (f"\n```yaml\n{shown}\n```\n" if shown else "")


def _table(section: Section, found: list[Section]) -> str:
    def link(model: type[BaseModel]) -> str:
        place = next(each for each in found if each.model is model)
        if place.base is not None:
            place = next(each for each in found if each.model is place.base and each.path == place.path)
        return f"[`{place.title}`](#{place.anchor})"

    rows, taken = [], {each.anchor for each in found}
    for name, field in own_fields(section.model, section.base):
        path = f"{section.path}.{field.alias or name}".strip(".")
        anchor = f"{section.anchor}.{field.alias or name}" if section.anchor else ""
        note = "**A change needs a restart.**" if path in UNTIL_RESTART else ""
        rows.append(row(name, field, link, "" if anchor in taken else anchor, note))
    return "\n".join(["| option | type | default | meaning |", "| --- | --- | --- | --- |", *rows, ""]) if rows else ""


def _about(section: Section) -> str:
    """The whole docstring of a model, or of the class that a check or notifier is."""
    thing: object = section.model
    if section.base is CheckConfig:
        thing = find_kind(section.kind)
    elif section.base is NotifierConfig:
        thing = NOTIFIERS.find(section.kind)
    doc = inspect.cleandoc(vars(thing).get("__doc__") or "")
    if section.base is CheckConfig:
        doc += f"\n\n[What is looked at, and what green means for it.](../checks/{section.kind}.md)"
    return doc


def _example(section: Section) -> str:
    """Of a top-level section or of a kind; the options within are shown there."""
    if section.kind and section.base is not None:
        return example(section.path, section.kind)
    if section.kind or "." in section.path.removesuffix(".NAME"):
        return example(section.path, section.kind) if section.path.endswith("criteria[]") else ""
    return example(section.path)
