"""Everything that the finders see on this host, before anybody is asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from healthd_gates.commands.init import nginx_conf, pm2, processes, variables
from healthd_gates.commands.init.nginx_site import Site
from healthd_gates.commands.init.pm2 import Pm2App
from healthd_gates.commands.init.processes import Listening
from healthd_gates.commands.init.variables import Dependency

LOGS = tuple(map(Path, ("/var/log/nginx/access.log", "/var/log/apache2/access.log", "/var/log/haproxy.log")))
_COLOUR = re.compile(r"(?P<name>.+)[-_.](?P<colour>blue|green)")


@dataclass(frozen=True, slots=True)
class Host:
    """Findings of the survey. `left_out` says why something is not in it."""

    dependencies: Sequence[Dependency] = ()
    from_file: frozenset[str] = frozenset()
    """Names of variables that only the `.env` file has."""
    unquoted: Sequence[str] = ()
    spaced: Sequence[str] = ()
    aws_region: str | None = None
    namespace: str | None = None
    sites: Sequence[Site] = ()
    apps: Sequence[Pm2App] = ()
    ports: Sequence[Listening] = ()
    prometheus_variable: bool = False
    left_out: Sequence[str] = field(default_factory=list)

    @property
    def steady_apps(self) -> list[str]:
        """Names of what PM2 runs, without services in two colours: one of those may be stopped on purpose."""
        names = dict.fromkeys(app.name for app in self.apps)
        return [
            name for name in names if (match := _COLOUR.fullmatch(name)) is None or match["name"] not in self.colours
        ]

    @property
    def colours(self) -> dict[str, dict[str, str]]:
        """Services that PM2 runs in two colours: the address of each, by the service's name."""
        found: dict[str, dict[str, str]] = {}
        for app in self.apps:
            if app.port is not None and (match := _COLOUR.fullmatch(app.name)) is not None:
                found.setdefault(match["name"], {})[match["colour"]] = f"http://127.0.0.1:{app.port}"
        return {name: dict(sorted(places.items())) for name, places in found.items() if len(places) == 2}


def survey(
    environ: Mapping[str, str],
    env_file: Path,
    nginx: Sequence[Path] = nginx_conf.PLACES,
    ports: Callable[[], Sequence[Listening]] = processes.listening,
    apps: Callable[[Mapping[str, str]], Sequence[Pm2App]] = pm2.pm2_apps,
    account: Path = variables.SERVICE_ACCOUNT,
) -> Host:
    """Look at this host."""
    left_out: list[str] = []
    own = _read_env(env_file, left_out)
    whole = {**own.values, **environ}
    dependencies, without = variables.dependencies(whole)
    region, problem = variables.aws_region(whole)
    left_out += [*without, *([problem] if problem else [])]
    return Host(
        dependencies,
        frozenset(own.values) - frozenset(environ),
        [name for name in own.unquoted if name not in environ],
        own.spaced,
        region,
        variables.kubernetes_namespace(account),
        _sites(nginx, left_out),
        apps(environ),
        _ports(ports, left_out),
        bool(whole.get("PROMETHEUS_URL")),
        left_out,
    )


def _read_env(file: Path, left_out: list[str]) -> variables.DotEnv:
    try:
        return variables.dot_env(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return variables.DotEnv({})
    except (OSError, UnicodeDecodeError) as error:
        left_out.append(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'is not UTF-8 text'}")
        return variables.DotEnv({})


def _sites(places: Sequence[Path], left_out: list[str]) -> list[Site]:
    for main in places:
        try:
            found = nginx_conf.sites(main)
        except FileNotFoundError:
            continue
        except OSError as error:
            left_out.append(f"{main} cannot be read: {error.strerror}")
            continue
        if not found:
            left_out.append(f"{main}: no site in it passes requests on with proxy_pass")
        return found
    return []


def _ports(look: Callable[[], Sequence[Listening]], left_out: list[str]) -> Sequence[Listening]:
    try:
        return look()
    except OSError:
        left_out.append("listening ports: this user may not see them")
        return ()
