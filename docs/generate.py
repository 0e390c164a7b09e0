"""Writes the reference pages that are drawn from the code: `make docs`. A test fails when a page is not up to date."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from healthd.app import Config
from healthd.checks import KINDS, find_kind
from healthd.checks.contract import CheckConfig
from healthd.config.json_schema import config_schema
from healthd.metrics import Metrics
from healthd.monitoring.board import Board
from healthd.notifiers import KINDS as NOTIFIER_KINDS
from healthd.notifiers import NOTIFIERS
from healthd.notifiers.contract import NotifierConfig
from healthd.runtime.clock import SystemClock
from healthd.units import show_duration, show_ratio
from healthd_deploy.aws.settings import BlueGreenConfig, RollingConfig
from healthd_deploy.core.settings import DeployConfig
from healthd_deploy.host.settings import HostConfig
from healthd_deploy.kubernetes.settings import KubernetesConfig
from healthd_deploy.migrate.settings import MigrateConfig
from healthd_deploy.nginx.settings import NginxConfig
from healthd_gates.engine.metrics import GateMetrics, RunningGates

DEPLOY_TOOLS: dict[str, type[BaseModel]] = {
    "aws blue-green": BlueGreenConfig,
    "aws rolling": RollingConfig,
    "host": HostConfig,
    "kubernetes": KubernetesConfig,
    "migrate": MigrateConfig,
    "nginx": NginxConfig,
}
REFERENCE = Path(__file__).parent / "reference"
_NOTE = "<!-- Drawn from the code by `make docs`; do not edit by hand. -->\n"


def pages() -> dict[Path, str]:
    """Every generated page with its text."""
    return {
        REFERENCE / "config.md": config_page(),
        REFERENCE / "metrics.md": metrics_page(),
        REFERENCE / "deploy.md": deploy_page(),
        Path(__file__).parents[1] / "config" / "schema.json": json.dumps(config_schema(Config), indent=1) + "\n",
    }


def config_page() -> str:
    parts = [
        f"# Configuration reference\n\n{_NOTE}",
        "Durations are written `30s`, `5m`, `2h`; rates `5%`; sizes `512MiB`. Any text may hold `${VAR}`, "
        "`${VAR:-default}` or `${file:/path}`; `$$` is a dollar sign. An unknown key is refused. "
        "`healthd config schema` prints all of this as JSON Schema, `healthd config check FILE` validates.\n",
        "## Top level\n\n" + "\n".join(_table(Config)),
    ]
    parts += [
        f"## {model.__name__}\n\n{_first_line(model)}" + "\n".join(_table(model)) for model in nested(Config, set())
    ]
    parts.append("## Every check\n\n" + "\n".join(_table(CheckConfig)))
    for kind in sorted(KINDS):
        check = find_kind(kind)
        own = _table(check.config_model, without=CheckConfig)
        parts.append(f"### {kind}\n\n{inspect.getdoc(check) or ''}\n\n" + "\n".join(own))
        parts += [
            f"#### {kind}: {inner.__name__}\n\n{_first_line(inner)}" + "\n".join(_table(inner))
            for inner in nested(check.config_model, set())
        ]
    parts.append("## Every notifier\n\n" + "\n".join(_table(NotifierConfig)))
    for name in NOTIFIER_KINDS:
        notifier = NOTIFIERS.find(name)
        own = _table(notifier.config_model, without=NotifierConfig)
        parts.append(f"### {name}\n\n{inspect.getdoc(notifier) or ''}\n\n" + "\n".join(own))
    return "\n".join(parts)


def deploy_page() -> str:
    parts = [
        f"# Reference of the deploy tools' configuration\n\n{_NOTE}",
        "What the files for `healthd-deploy` hold, written as [healthd's own](config.md).\n",
        "## Every deploy tool\n\n" + "\n".join(_table(DeployConfig)),
    ]
    parts += _inner("", DeployConfig)
    for tool, model in DEPLOY_TOOLS.items():
        parts.append(f"## {tool}\n\n" + "\n".join(_table(model, without=DeployConfig)))
        parts += _inner(f"{tool}: ", model, set(nested(DeployConfig, set())))
    return "\n".join(parts)


def _inner(prefix: str, model: type[BaseModel], seen: set[type[BaseModel]] | None = None) -> list[str]:
    """A section for each model inside of another."""
    return [
        f"### {prefix}{inner.__name__}\n\n{_first_line(inner)}" + "\n".join(_table(inner))
        for inner in nested(model, seen or set())
    ]


def metrics_page() -> str:
    metrics = Metrics(Board(SystemClock()), "", "")
    metrics.watch_journal(lambda: 0.0, lambda: True)
    GateMetrics(metrics.registry)
    metrics.registry.register(RunningGates(list))
    rows = [f"| `{name}` | {kind} | {labels} | {text} |" for name, kind, labels, text in sorted(_metrics(metrics))]
    head = ["| metric | type | labels | meaning |", "| --- | --- | --- | --- |"]
    text = "`GET /metrics` serves the Prometheus text format, or OpenMetrics where the scraper asks for it.\n"
    return "\n".join([f"# Metrics reference\n\n{_NOTE}\n{text}", *head, *rows, ""])


def _metrics(metrics: Metrics) -> Iterator[tuple[str, str, str, str]]:
    for collector, names in metrics.registry._collector_to_names.items():
        labels = ", ".join(f"`{label}`" for label in getattr(collector, "_labelnames", ()))
        described = list(collector.describe() if hasattr(collector, "describe") else collector.collect())
        for metric in described or list(collector.collect()):
            if any(name.startswith(("healthd_", "process_", "python_")) for name in names) or not names:
                suffix = "_total" if metric.type == "counter" else ""
                own = labels or ", ".join(f"`{label}`" for label in getattr(metric, "_labelnames", ()))
                yield metric.name + suffix, metric.type, own, metric.documentation


def nested(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    for field in model.model_fields.values():
        for inner in _models_in(field.annotation):
            if inner not in seen and inner not in (CheckConfig, NotifierConfig):
                seen.add(inner)
                yield inner
                yield from nested(inner, seen)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument)


def _table(model: type[BaseModel], without: type[BaseModel] | None = None) -> list[str]:
    rows = ["| key | default | meaning |", "| --- | --- | --- |"]
    schema = model.model_json_schema(by_alias=True)["properties"]
    for name, field in model.model_fields.items():
        key = field.alias or name
        inherited = without.model_fields.get(name) if without else None
        if inherited and (name == "kind" or inherited.default == field.default):
            continue
        meaning = field.description or ""
        choices = schema.get(key, {}).get("enum")
        if choices:
            meaning = " \\| ".join(f"`{choice}`" for choice in choices) + (f". {meaning}" if meaning else "")
        rows.append(f"| `{key}` | {_default(field)} | {meaning} |")
    return [*rows, ""] if len(rows) > 2 else []


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "" if field.default_factory else "required"
    value = field.default
    if value is None or value == () or value == {}:
        return ""
    if isinstance(value, BaseModel):
        return "see below"
    if isinstance(value, float):
        serializers = [str(item) for item in field.metadata]
        shown = show_ratio(value) if any("show_ratio" in text for text in serializers) else show_duration(value)
        return f"`{shown}`"
    return f"`{json.dumps(value, default=str).strip(chr(34))}`"


def _first_line(model: type[BaseModel]) -> str:
    doc = vars(model).get("__doc__")
    return f"{doc.splitlines()[0]}\n\n" if doc else ""


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
