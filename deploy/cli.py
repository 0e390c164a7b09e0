"""`healthd-deploy`: which deploy tools there are. Each is a file of its platform's folder."""

from __future__ import annotations

from importlib import import_module

import click

from healthd import __version__

# Loaded when called: a tool for one platform does not wait for another's packages.
_TOOLS = {
    "nginx": "deploy.nginx.command:nginx",
}


class _Lazy(click.Group):
    """A group whose commands are imported by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_TOOLS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _TOOLS:
            return None
        module, _, name = _TOOLS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="healthd-deploy")
def main() -> None:
    """Deploy a version, and keep it only if healthd's gates pass.

    \b
    Exit codes: 0 promoted · 1 failed and put back · 2 inconclusive and put back · 3 could not ask ·
    4 could not be put back: a person is needed · 130 interrupted and put back.
    """
