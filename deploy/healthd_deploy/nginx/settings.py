"""What a deploy behind NGINX needs to know."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from healthd.config.settings import Model, Name
from healthd.units import Duration, Span
from healthd.wording import shape
from healthd_deploy.core.settings import DeployConfig

_PLACEHOLDERS = ("$target", "$version")
# An address is written into NGINX's configuration: nothing that could end the directive gets in.
Server = Annotated[
    str,
    StringConstraints(
        pattern=shape(
            r"^(unix:)?[A-Za-z0-9_./\[\]:-]{1,255}$",
            "a server as NGINX has it, such as 10.0.1.10:3000 or unix:/run/api.sock",
        )
    ),
]


def _argv(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        for found in re.findall(r"\$\w+", word):
            if found not in _PLACEHOLDERS:
                raise ValueError(f"{found} is not one of {', '.join(_PLACEHOLDERS)}")
    return words


class Program(Model):
    """A program to run."""

    argv: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_argv)]
    """The program and its arguments; $target and $version are filled in. No shell is involved."""
    timeout: Duration = 600.0
    """How long it may take."""

    def words(self, target: str, version: str) -> list[str]:
        """The arguments, filled in."""
        return [word.replace("$target", target).replace("$version", version) for word in self.argv]


class Upstream(Model):
    """The upstream whose servers are switched."""

    file: Path
    """The file that the tool writes and NGINX's `http` block includes."""
    name: Name
    """The upstream's name, as in `proxy_pass http://NAME`."""
    targets: dict[Name, Annotated[tuple[Server, ...], Field(min_length=1)]] = Field(min_length=2, max_length=2)
    """The two targets, named as in healthd's configuration, and the addresses of each."""
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
    """How NGINX checks its configuration, before it is reloaded."""
    reload: Annotated[tuple[str, ...], Field(min_length=1)] = ("nginx", "-s", "reload")
    """How NGINX is reloaded."""
    timeout: Duration = 30.0
    """How long each of the two may take."""
    health: (
        Annotated[
            str,
            StringConstraints(
                pattern=shape(r"^/[!-~]*$", "a path that begins with a slash, of visible ASCII characters")
            ),
        ]
        | None
    ) = None
    """A path that a target must answer before it gets the traffic; without one, it must accept connections."""
    answers_within: Duration = 5.0
    """How long that may take."""


class SwitchConfig(Model):
    """The part of the configuration by which the traffic is switched."""

    upstream: Upstream
    """The upstream whose servers are switched."""


class NginxConfig(DeployConfig):
    """`healthd-deploy nginx`"""

    upstream: Upstream
    """The upstream whose servers are switched."""
    release: Program
    """Puts a version on the idle target and ends with 0 when it is ready for traffic; done twice it does no harm."""
    retire: Program | None = None
    """Cleans up the target that the traffic has left."""
    retire_after: Span | None = None
    """How long after the pass it is cleaned up; without it, it stays as it is until the next deploy."""
