"""The correspondents of the configured hooks: each calls a tool back that disconnects before there is an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from healthd.runtime.clock import Clock
from healthd_gates.config.hooks.codedeploy import CodeDeployConfig
from healthd_gates.config.hooks.contract import HookConfig
from healthd_gates.config.hooks.github import GitHubConfig
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


class Correspondents:
    """The correspondents of the configuration in force, by the name of their hook."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._made: dict[str, tuple[HookConfig, Correspondent]] = {}
        self._retired: list[Correspondent] = []

    def __bool__(self) -> bool:
        return bool(self._made)

    def get(self, hook: str) -> Correspondent | None:
        """Return a hook's correspondent; None for one that is not configured, or whose tool waits for its answer."""
        _, correspondent = self._made.get(hook, (None, None))
        return correspondent

    def reconfigure(self, hooks: Mapping[str, HookConfig]) -> None:
        """Apply a configuration. A hook that did not change keeps its connections."""
        known, self._made = self._made, {}
        for name, config in hooks.items():
            if name in known and known[name][0] == config:
                self._made[name] = known.pop(name)
            elif (make := CORRESPONDENTS.get(type(config))) is not None:
                self._made[name] = config, make(config, self._clock)
        self._retired += [correspondent for _, correspondent in known.values()]

    async def close(self) -> None:
        """Close the connections of all, of those that a configuration took away too."""
        for correspondent in (*self._retired, *(made for _, made in self._made.values())):
            await correspondent.close()
