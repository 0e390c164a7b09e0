"""Settings of a deploy behind NGINX."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from healthd.config.model import Model, Name
from healthd.runtime.authority import problem_of_authority
from healthd.units import Duration
from healthd.wording import shape
from healthd_deploy.core.release_program import ReleasedByPrograms


def _connectable(server: str) -> str:
    if not server.startswith("unix:") and (problem := problem_of_authority(server)) is not None:
        raise ValueError(problem)
    return server


# An address is written into NGINX's configuration: it may contain nothing that could end the directive.
Server = Annotated[
    str,
    StringConstraints(
        pattern=shape(
            r"^(unix:/[A-Za-z0-9_./-]{1,255}|[A-Za-z0-9_.\[\]:-]{1,255})$",
            "a server as NGINX has it, such as 10.0.1.10:3000 or unix:/run/api.sock, without http://",
        )
    ),
    AfterValidator(_connectable),
]


class Upstream(Model):
    """Upstream whose servers are switched."""

    file: Path
    """File that the tool writes and NGINX's `http` block includes."""
    name: Name
    """Name of the upstream, as in `proxy_pass http://NAME`."""
    targets: dict[Name, Annotated[tuple[Server, ...], Field(min_length=1)]] = Field(min_length=2, max_length=2)
    """Two targets, named as in healthd's configuration, and the addresses of each."""
    options: tuple[
        Annotated[
            str,
            StringConstraints(
                pattern=shape(
                    r"^[a-z_]+[ a-z0-9_=]*$", "a directive of an upstream without its semicolon, such as keepalive 32"
                )
            ),
        ],
        ...,
    ] = ("keepalive 32",)
    """More directives of the upstream."""
    test: Annotated[tuple[str, ...], Field(min_length=1)] = ("nginx", "-t", "-q")
    """Command with which NGINX checks its configuration, before it is reloaded."""
    reload: Annotated[tuple[str, ...], Field(min_length=1)] = ("nginx", "-s", "reload")
    """Command that reloads NGINX."""
    pid: Path = Path("/run/nginx.pid")
    """File of NGINX's `pid` directive, by which the tool sees when a reload has taken effect. Without such a file NGINX
    runs in another container or on another host: the reload command must then wait itself."""
    timeout: Duration = 30.0
    """Timeout of each of the two, and of the workers' change after a reload."""

    @field_validator("targets")
    @classmethod
    def _servers_are_of_one_target(cls, targets: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """A switch between two names of one place would move nothing."""
        (one, first), (other, second) = targets.items()
        if shared := sorted({*first} & {*second}):
            raise ValueError(f"{one} and {other} both have {shared[0]}: each target needs servers of its own")
        return targets

    health: (
        Annotated[
            str,
            StringConstraints(
                pattern=shape(r"^/[!-~]*$", "a path that begins with a slash, of visible ASCII characters")
            ),
        ]
        | None
    ) = None
    """Path that a target must answer before it gets traffic; without one, it must accept connections."""
    answers_within: Duration = 5.0
    """Timeout of that answer."""

    def beside(self, target: str) -> str:
        """Return the other target."""
        return next(name for name in self.targets if name != target)


class SwitchConfig(Model):
    """Part of the configuration that switches the traffic."""

    upstream: Upstream
    """Upstream whose servers are switched."""


class NginxConfig(ReleasedByPrograms):
    """Options of `healthd-deploy nginx`"""

    upstream: Upstream
    """Upstream whose servers are switched."""

    @property
    def addresses(self) -> Mapping[str, Collection[str]]:
        return self.upstream.targets
