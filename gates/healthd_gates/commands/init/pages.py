"""Finders by HTTP: a path that says healthy, a metrics page with counters of requests, a Prometheus that has them."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import aiohttp
from yarl import URL

from healthd_gates.sources.exposition import PLAIN, families_of
from healthd_gates.sources.presets import PRESETS, PresetName
from healthd_gates.sources.selectors import parse_matchers

Get = Callable[[str], Awaitable[tuple[int, str] | None]]
"""An address → status and text; None if nothing answers there with HTTP."""
GetAs = Callable[[str, str | None], Awaitable[tuple[int, str] | None]]
"""The same, of the host with this name, which may not be that of the address."""
HEALTH_PATHS = ("/health", "/healthz", "/health/ready", "/readyz", "/api/health", "/")
_TIMEOUT = aiohttp.ClientTimeout(total=3)
_LONGEST = 16 * 1024**2
_LANGUAGES = {
    "django": "python_info",
    "fastapi": "python_info",
    "micrometer": "jvm_info",
    "prom_client": "nodejs_version_info",
}
"""The metric by which a page tells the language of its application, for presets that are made for one."""


@dataclass(frozen=True, slots=True)
class MetricsFound:
    """Counters of requests that a preset selects, in Prometheus those of one job, and the newest version there.
    `selectors` select them without its name, where the application of another language than the preset's has them."""

    preset: PresetName
    has_latency: bool
    job: str | None = None
    version: str | None = None
    selectors: Mapping[str, str] | None = None


async def get(url: str, host: str | None = None) -> tuple[int, str] | None:
    """Ask an address once, for the host of that name if it is given, and follow no redirect."""
    headers = {"User-Agent": "healthd/init", **({"Host": host} if host else {})}
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT, headers=headers) as session,
            session.get(url, allow_redirects=False, server_hostname=host) as answer,
        ):
            return answer.status, (await answer.content.read(_LONGEST)).decode("utf-8", "replace")
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return None


async def health_path(base: str, ask: Get) -> str | None:
    """Return the first usual path at which a service answers 200."""
    for path in HEALTH_PATHS:
        answer = await ask(base.rstrip("/") + path)
        if answer is None:
            return None
        if answer[0] == 200:
            return path
    return None


async def metrics_page(base: str, ask: Get) -> MetricsFound | str:
    """Return the preset that fits the page of a service, or why none does."""
    answered, foreign = False, None
    for name, preset in PRESETS.items():
        if preset.page is None:
            continue
        url = URL(base)
        at = url.with_port(preset.page["port"]) if "port" in preset.page else url
        page = await ask(str(at.with_path(preset.page["path"])))
        if page is None or page[0] != 200:
            continue
        try:
            samples = [sample for family in families_of(page[1], PLAIN) for sample in family.samples]
        except ValueError:
            continue
        answered = answered or bool(samples)
        labels = [sample.labels for sample in samples if sample.name == preset.requests]
        if labels and not _missing(preset.failed, labels):
            found = _found(name, names := {sample.name for sample in samples})
            own = _LANGUAGES.get(name)
            if own is None or own in names or names.isdisjoint(_LANGUAGES.values()):
                return found
            selectors = preset.selectors("", by_target=True)
            kept = {key: each for key, each in selectors.items() if key != "latency" or found.has_latency}
            foreign = foreign or replace(found, selectors=kept)
    if foreign is not None:
        return foreign
    return (
        f"{base}: its metrics page has no counter of requests that a preset knows: write selectors, see docs/sources.md"
        if answered
        else f"{base}: no metrics page answers"
    )


def _found(name: str, names: Collection[str]) -> MetricsFound:
    return MetricsFound(cast(PresetName, name), PRESETS[cast(PresetName, name)].latency in names)


def _missing(condition: str, series: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the labels of a condition that no series has."""
    _, matchers = parse_matchers(condition)
    return [each.label for each in matchers if not any(each.label in labels for labels in series)]


async def prometheus(base: str, ask: Get, servers: Collection[str]) -> MetricsFound | str | None:
    """Return the preset whose series a Prometheus has for the service at these `host:port`, with the label that tells
    versions apart; or why none serves. None if no Prometheus answers."""
    answer = await ask(f"{base.rstrip('/')}/api/v1/label/__name__/values")
    names = _data(answer)
    if names is None:
        return None
    whys: list[str] = []
    for name, preset in PRESETS.items():
        if preset.requests not in names:
            continue
        series = _data(await ask(f"{base.rstrip('/')}/api/v1/series?match[]={preset.requests}")) or []
        if _missing(preset.failed, series):
            continue
        if missing := _missing(preset.arm, series):
            whys.append(f"its series of {name} have no label {missing[0]}, which tells the versions apart")
        elif "$target" in preset.arm:
            whys.append(f"its series look like preset {name}: {preset.needs}")
        else:
            job = _job(series, servers)
            if isinstance(job, list):
                whys.append(f"its series of {name} are of several jobs ({', '.join(job[:5])}), and none of a target")
            else:
                own = [labels for labels in series if job is None or labels.get("job") == job]
                return replace(_found(name, names), job=job, version=_newest(preset.arm, own))
    return f"{base}: {whys[0]}" if whys else f"{base}: it has no counter of requests that a preset knows"


def _newest(condition: str, series: Sequence[Mapping[str, str]]) -> str | None:
    """Return the highest of the versions, number by number, under the label of a condition."""
    _, matchers = parse_matchers(condition)
    versions = {labels[each.label] for each in matchers for labels in series if labels.get(each.label)}
    return max(
        versions,
        key=lambda it: [
            (part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", it)
        ],
        default=None,
    )


def _job(series: Sequence[Mapping[str, str]], servers: Collection[str]) -> str | list[str] | None:
    """Return the job that scrapes one of the servers, or the only one; all of them if it cannot be told."""
    jobs = sorted({labels["job"] for labels in series if "job" in labels})
    own = {labels["job"] for labels in series if "job" in labels and labels.get("instance") in servers}
    if len(own) == 1:
        return own.pop()
    return jobs if len(jobs) > 1 else next(iter(jobs), None)


def _data(answer: tuple[int, str] | None) -> Sequence[Any] | None:
    if answer is None or answer[0] != 200:
        return None
    try:
        document = json.loads(answer[1])
    except ValueError:
        return None
    data = document.get("data") if isinstance(document, Mapping) else None
    return data if isinstance(data, list) else None
