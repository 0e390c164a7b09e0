"""Writes a plan as commented YAML. Values of variables are never in it: `${NAME}` refers to them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from healthd_gates.commands.init.front import Through
from healthd_gates.commands.init.plan import Plan, Source, as_name

_BY_QUERY = {
    "mysql": (
        "kind: sql, query: SELECT 1, unhealthy: {below: 1}",
        " # whether it answers a query; one of yours can hold a number to bounds",
    )
}
RIGHTS = {
    "deploy": (
        "scopes: [gates:verify, gates:read, health:read]",
        "the deploy tool's: it begins gates, and reads them and the checks",
    ),
    "operator": ("role: operator", "a person's: it rolls back, approves, gives up, and freezes and silences, too"),
}
"""Tokens that the file has, by their names: what each may, as YAML, and whose it is."""
_FIRST_PORT = 8080
_PLAIN = re.compile(r"/?[A-Za-z][A-Za-z0-9_./-]*")
_OTHER_MEANING = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})


def render(plan: Plan, without: Collection[str] = ()) -> str:
    """Return the text of the file; `without` are checks to leave out."""
    parts = [_head(plan), _checks(plan, without)]
    if plan.service is not None and plan.source is not None:
        parts += [_service(plan, plan.source), _policies(plan, plan.source)]
        if plan.host.namespace is not None:
            parts.append(_kubernetes(plan.host.namespace, plan.service.name))
    return "\n".join(parts)


def literal(value: Any) -> str:
    """Return a value as YAML on one line; a `$` that begins a reference stays what it is."""
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and value.lower() not in _OTHER_MEANING:
            return value
        text = value.replace("$$", "$$$$").replace("${", "$${")
        return "'" + text.replace("'", "''") + "'" if text.isprintable() else json.dumps(text)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {literal(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value)


def free_port(taken: Collection[int]) -> int:
    """Return the port that healthd is to listen on: its own, or the next one that is free."""
    return next(port for port in range(_FIRST_PORT, 65536) if port not in taken)


def listening(plan: Plan) -> int:
    """Return the port that the daemon of this plan listens on."""
    return free_port({each.port for each in plan.host.ports})


def _head(plan: Plan) -> str:
    host = "0.0.0.0" if plan.host.namespace is not None else "127.0.0.1"
    return "\n".join(
        (
            "# Written by `healthd init` from what it found on this host; yours from now on. Secrets stay variables;",
            "# `healthd config check` says what is wrong in it, `healthd config example full` has every option.",
            "environment: ${NODE_ENV:-production}",
            f'http: {{listen: "{host}:{listening(plan)}"}}',
            *_journal(plan.journal),
            "auth:",
            "  tokens: # `healthd token new` makes others; of a token the file has the hash alone",
            *_tokens(plan.hashes),
            "",
        )
    )


def _tokens(hashes: Mapping[str, str]) -> Iterator[str]:
    for name, hashed in hashes.items():
        rights, whose = RIGHTS[name]
        yield f"    - name: {name} # {whose}"
        yield f"      hash: {hashed}"
        yield f"      {rights}"


def _journal(file: Path | None) -> tuple[str, ...]:
    if file is None or set("%?#") & {*str(file)}:
        return ()
    told = "gates and history; without this line in /var/lib/healthd, as under systemd"
    return (f"journal: {literal(f'sqlite:///{file}')} # {told}",)


def _checks(plan: Plan, without: Collection[str]) -> str:
    lines = [f"  {name}: {options}" for name, options in checks(plan).items() if name not in without]
    return "\n".join(("checks:", *lines, ""))


def checks(plan: Plan) -> dict[str, str]:
    """Return the options of each check by its name, as YAML."""
    found: dict[str, str] = {}
    for each in plan.host.dependencies:
        name = each.kind if each.kind not in found else each.variable.lower().replace("_", "-")
        kind, why = _BY_QUERY.get(each.kind, (f"kind: {each.kind}", ""))
        found[name] = f'{{{kind}, uri: "${{{each.variable}}}", critical: true}}{why}'
    if plan.host.aws_region is not None:
        found["aws"] = f'{{kind: aws, region: "${{{plan.host.aws_region}}}"}}'
    for name, options in _of_service(plan):
        found[name if name not in found else f"{name}-http"] = options
    for app, tried in plan.pm2.items():
        name = as_name(app[:54]) + "-processes"
        found[name if name not in found else f"{name}-{len(found)}"] = f"{literal(tried.options)} # {tried.said}"
    return {**found, "memory": "{kind: memory}", "disk": "{kind: disk}", "process": "{kind: process, critical: true}"}


def _of_service(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield the checks of the service: of several targets one decides about readiness, what users reach through the
    proxy, since each of the others may be stopped between deploys."""
    if plan.service is None or plan.health is None:
        return
    own, several = plan.service.name, len(plan.service.targets) > 1
    if plan.through is not None:
        options = {"kind": "http", "url": plan.through.url, **_asking(plan.through)}
        yield own, f"{literal({**options, 'critical': True})} # {plan.through.said}"
    for target, urls in plan.service.targets.items():
        for number, url in enumerate(urls, 1):
            name = "-".join((own, *([target] if several else []), *([str(number)] if number > 1 else [])))
            options = {"kind": "http", "url": url.rstrip("/") + plan.health}
            yield as_name(name), literal(options if several else {**options, "critical": True})


def _asking(through: Through) -> dict[str, Any]:
    if through.host is None:
        return {}
    secure = {"server_name": through.host} if through.url.startswith("https:") else {}
    return {"headers": {"Host": through.host}, **secure}


def _service(plan: Plan, source: Source) -> str:
    assert plan.service is not None
    policy = "canary" if source.baseline == "concurrent" else "post-switch"
    targets = {name: urls[0] if len(urls) == 1 else urls for name, urls in plan.service.targets.items()}
    return "\n".join(
        (
            "services:",
            f"  {literal(plan.service.name)}:",
            f"    targets: {literal(targets)}",
            f"    source: # {source.said}",
            *(f"      {name}: {literal(value)}" for name, value in source.options.items()),
            f"    policy: {policy}",
            "    # on_fail: [traffic-back] # the action that puts the traffic back: docs/actions.md",
            "",
        )
    )


_WHY = {
    "before": ("post-switch", "not several times worse than before the switch, once there is a past"),
    "concurrent": ("canary", "compared with the version that the request names as baseline, while both run"),
}


def _policies(plan: Plan, source: Source) -> str:
    name, why = _WHY[source.baseline]
    compare = f", compare: {{to: {source.baseline}}}"
    return "\n".join(
        ("policies:", f"  {name}: # {why}", "    criteria:", *_criteria(source, compare), *_smoke(plan), "")
    )


def _criteria(source: Source, compare: str) -> Iterator[str]:
    yield f"      - {{kind: error_rate, limit: 5%, weight: 2{compare}}}"
    if source.has_latency:
        yield f"      - {{kind: latency, quantile: 0.95, limit: 5s{compare}}}"


def _smoke(plan: Plan) -> Iterator[str]:
    if plan.health is not None:
        yield "  smoke: # of a version before traffic comes"
        yield "    criteria:"
        yield f"      - {{kind: smoke, requests: [{{get: {literal(plan.health)}, status: 200}}]}}"


def _kubernetes(namespace: str, service: str) -> str:
    return "\n".join(
        (
            "# actions: # needs rights in this namespace: docs/deploy/kubernetes.md",
            "#   traffic-back:",
            f"#     {{kind: kubernetes, namespace: {namespace}, service: {service}, selector: {{color: $target}}}}",
            "",
        )
    )
