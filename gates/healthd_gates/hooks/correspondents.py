"""Makes the correspondent of a hook: the object that calls its tool back, if the tool disconnects before there is an
answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from healthd.runtime.clock import Clock
from healthd_gates.config.github_hook import GitHubConfig
from healthd_gates.config.hooks import CodeDeployConfig, HookConfig
from healthd_gates.hooks.callback import Correspondent


def _codedeploy(config: CodeDeployConfig, _clock: Clock) -> Correspondent:
    from healthd_gates.hooks.codedeploy import CodeDeploy

    return CodeDeploy(config)


def _github(config: GitHubConfig, clock: Clock) -> Correspondent:
    from healthd_gates.hooks.github.callback import GitHub

    return GitHub(config, clock)


CORRESPONDENTS: dict[type[HookConfig], Callable[[Any, Clock], Correspondent]] = {
    CodeDeployConfig: _codedeploy,
    GitHubConfig: _github,
}


def correspondent_of(config: HookConfig, clock: Clock) -> Correspondent | None:
    """Return the correspondent of a configured hook; None for a tool that waits for its answer."""
    make = CORRESPONDENTS.get(type(config))
    return make(config, clock) if make is not None else None
