"""Chooses from what was found: the service, its targets, and the first source that could be tried."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from healthd_gates.commands.init import pages
from healthd_gates.commands.init.front import Through, through
from healthd_gates.commands.init.log_tail import Tried, newest_lines, tried
from healthd_gates.commands.init.nginx_site import Site
from healthd_gates.commands.init.pm2 import Pm2Tried
from healthd_gates.commands.init.survey import LOGS, Host
from healthd_gates.sources.access_log.formats import COMBINED

_PROMETHEUS = "http://127.0.0.1:9090"
_MOST_OTHERS = 5
Targets = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A service that was seen: its name, the addresses of its targets, and its site in NGINX."""

    name: str
    targets: Targets
    site: Site | None = None

    def of_its_site(self, sites: Sequence[Site]) -> Proposal:
        """Return it with the site that passes requests on to one of its targets, or else that has its name."""
        places = set(map(_as_loopback, self.servers))
        fitting = [each for each in sites if places & set(map(_as_loopback, each.servers))]
        fitting += [each for each in sites if as_name(each.name) == self.name]
        return replace(self, site=fitting[0]) if fitting else self

    @property
    def servers(self) -> set[str]:
        """The addresses of its targets as `host:port`."""
        return {url.partition("://")[2] for urls in self.targets.values() for url in urls}


@dataclass(frozen=True, slots=True)
class Source:
    """A source as options, and what came of trying it. `baseline` is what the candidate can be held against; `version`
    one that the source has numbers of, where it asks by version."""

    options: Mapping[str, Any]
    said: str
    has_latency: bool
    baseline: str
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that the file gets."""

    host: Host
    service: Proposal | None = None
    source: Source | None = None
    health: str | None = None
    left_out: list[str] = field(default_factory=list)
    journal: Path | None = None
    pm2: Mapping[str, Pm2Tried] = field(default_factory=dict)
    """Checks of what PM2 runs, by its name there."""
    through: Through | None = None
    """The answer of the proxy in front of several targets."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    """Hashes of the tokens, by their names."""


async def proposals(host: Host, ask: pages.Get) -> list[Proposal]:
    """Return the services that were seen, the likeliest first: sites of NGINX, apps of PM2, whatever answers HTTP."""
    found: list[Proposal] = []
    for name, places in host.colours.items():
        addresses = {address.partition("://")[2] for address in places.values()}
        site = next((each for each in host.sites if addresses & set(map(_as_loopback, each.servers))), None)
        found.append(Proposal(as_name(name), {colour: (url,) for colour, url in places.items()}, site))
    taken = {url for each in found for urls in each.targets.values() for url in urls}
    for site in host.sites:
        urls = tuple(f"http://{_as_loopback(server)}" for server in site.servers)
        if urls and not taken & set(urls):
            found.append(Proposal(as_name(site.name), {"live": urls}, site))
            taken |= set(urls)
    for app in host.apps:
        if app.port is None:
            continue
        url = f"http://127.0.0.1:{app.port}"
        if url not in taken:
            found.append(Proposal(as_name(app.name), {"live": (url,)}))
            taken.add(url)
    if found:
        return found
    ports = [each for each in host.ports if each.may_be_a_service]
    answers = await asyncio.gather(*(ask(f"http://127.0.0.1:{each.port}/health") for each in ports))
    there = [each for each, answer in zip(ports, answers, strict=True) if answer is not None]
    return [
        Proposal(
            "app" if len(there) == 1 else as_name(f"{each.process}-{each.port}"),
            {"live": (f"http://127.0.0.1:{each.port}",)},
        )
        for each in there
    ]


def as_name(text: str) -> str:
    """Return a text as a name of the configuration."""
    return re.sub(r"[^a-zA-Z0-9._-]+", "-", text).strip("-._")[:64] or "app"


def _as_loopback(server: str) -> str:
    return re.sub(r"^localhost:", "127.0.0.1:", server)


async def choose(host: Host, service: Proposal, log: Path | None, ask: pages.Get) -> Plan:
    """Return the plan with the best source that could be tried."""
    left_out = list(_other_sites(host, service))
    urls = [url for urls in service.targets.values() for url in urls]
    paths = await asyncio.gather(*(pages.health_path(url, ask) for url in urls))
    health = next(filter(None, paths), None)
    of_log = _of_log(service, log, left_out)
    source = (
        (of_log if of_log is not None and of_log.has_latency else None)
        or await _of_prometheus(host, service, ask, left_out)
        or await _of_pages(service, ask, left_out)
        or of_log
        or _probe(service, health, left_out)
    )
    if health is None:
        left_out.append(f"no target answers at any of {', '.join(pages.HEALTH_PATHS)}")
        return Plan(host, service, source, None, left_out)
    front = service.site.front if service.site is not None else None
    several = len(service.targets) > 1
    in_front = await through(front, health, left_out) if several else None
    return Plan(host, service, source, health, left_out, through=in_front)


def _other_sites(host: Host, service: Proposal) -> Iterator[str]:
    """Yield the sites of NGINX that pass requests to other servers than the service has."""
    mine = set(map(_as_loopback, service.servers))
    others = {
        as_name(each.name): each.servers
        for each in host.sites
        if each.servers and not mine & set(map(_as_loopback, each.servers)) and as_name(each.name) != service.name
    }
    for name, servers in list(others.items())[:_MOST_OTHERS]:
        yield f"{name}, to which NGINX passes requests too ({', '.join(servers[:2])}): --service {name} writes that one"
    if len(others) > _MOST_OTHERS:
        yield f"{len(others) - _MOST_OTHERS} more services behind NGINX"


def _of_log(service: Proposal, log: Path | None, left_out: list[str]) -> Source | None:
    site = service.site
    named = log or (site.log if site is not None else None)
    places = LOGS if named is None else (named,)
    for file in places:
        of_site = site is not None and site.log == file and site.log_format is not None
        form = [site.log_format] if of_site and site is not None and site.log_format else []
        try:
            found = tried(file, newest_lines(file), ["nginx_combined" if it == COMBINED else it for it in form])
        except OSError as error:  # a folder that others may not enter hides whether the log is there
            if named is not None or not isinstance(error, FileNotFoundError):
                left_out.append(f"{file} cannot be read: {error.strerror}")
        except ValueError as error:
            left_out.append(str(error))
        else:
            return _log_source(found, service, left_out)
    return None


def _log_source(found: Tried, service: Proposal, left_out: list[str]) -> Source | None:
    if found.servers and not service.servers & set(map(_as_loopback, found.servers)):
        left_out.append(f"{found.file}: no line is from a target; its servers are {', '.join(found.servers[:5])}")
        return None
    if service.site is not None and service.site.shares_log and not found.by_server:
        left_out.append(f"{found.file} has the lines of several sites, and nothing in them tells whose they are")
        return None
    if not found.has_latency:
        left_out.append("latency: the log has no durations; docs/deploy/access-log.md has a log_format that does")
    return Source(
        {"kind": "access_log", "file": str(found.file), "format": found.format},
        f"tried, its newest {found.lines} lines fit the format",
        found.has_latency,
        "before",
    )


async def _of_prometheus(host: Host, service: Proposal, ask: pages.Get, left_out: list[str]) -> Source | None:
    servers = service.servers | {server.replace("127.0.0.1:", "localhost:") for server in service.servers}
    found = await pages.prometheus(_PROMETHEUS, ask, servers)
    if found is None and host.prometheus_variable:
        left_out.append("PROMETHEUS_URL is set and was not asked; see the source prometheus in docs/sources.md")
    if isinstance(found, str):
        left_out.append(found)
    if not isinstance(found, pages.MetricsFound):
        return None
    options = {"kind": "prometheus", "url": _PROMETHEUS, "preset": found.preset}
    if found.job is not None:
        options["matchers"] = f"job={json.dumps(found.job)}"
    return Source(options, "tried, it has these series", found.has_latency, "before", found.version)


async def _of_pages(service: Proposal, ask: pages.Get, left_out: list[str]) -> Source | None:
    why: list[str] = []
    for urls in service.targets.values():
        found = await pages.metrics_page(urls[0], ask)
        if isinstance(found, pages.MetricsFound):
            baseline = "concurrent" if len(service.targets) > 1 else "before"
            options = {"kind": "scrape", **(found.selectors or {"preset": found.preset})}
            return Source(options, f"tried, the page of {urls[0]} has these counters", found.has_latency, baseline)
        why.append(found)
    left_out += why
    return None


def _probe(service: Proposal, health: str | None, left_out: list[str]) -> Source:
    left_out.append("real traffic: no log and no metrics could be read, so that healthd sends requests itself")
    said = "tried, it answers 200 there" if health else "not tried: no target answered"
    requests: Sequence[Mapping[str, Any]] = [{"get": health or "/health", "status": 200}]
    baseline = "concurrent" if len(service.targets) > 1 else "before"
    return Source({"kind": "probe", "requests": requests}, said, True, baseline)
