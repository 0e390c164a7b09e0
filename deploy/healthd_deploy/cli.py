"""Command `healthd-deploy`: lists the deploy tools. Each is a file of its platform's folder."""

from __future__ import annotations

import click

from healthd import __version__
from healthd.commands.verdict_group import VerdictGroup
from healthd.runtime import leaving
from healthd_deploy.core import interrupts

_TOOLS = {
    "aws": ("healthd_deploy.aws.command:aws", "Deploys behind an AWS load balancer, released by Systems Manager."),
    "haproxy": ("healthd_deploy.haproxy.command:haproxy", "Blue-green deploys behind HAProxy."),
    "host": ("healthd_deploy.host.command:host", "Releases of a Node.js application on this host, under PM2."),
    "kubernetes": ("healthd_deploy.kubernetes.command:kubernetes", "Blue-green deploys in Kubernetes."),
    "migrate": (
        "healthd_deploy.migrate.command:migrate",
        "Bring PostgreSQL and MongoDB up to date, one runner at a time, with a history.",
    ),
    "nginx": ("healthd_deploy.nginx.command:nginx", "Blue-green deploys behind NGINX."),
    "traefik": ("healthd_deploy.traefik.command:traefik", "Blue-green deploys behind Traefik."),
}
_COMMANDS = {
    "aws": ("blue-green", "rolling"),
    "haproxy": ("blue-green", "switch"),
    "host": ("backups", "release", "rollback"),
    "kubernetes": ("blue-green",),
    "migrate": ("check", "down", "new", "resolve", "status", "up"),
    "nginx": ("blue-green", "switch"),
    "traefik": ("blue-green", "switch"),
}
_PATIENCE = 5.0  # seconds that a deploy waits for a reader of its lines who has stopped reading


class _Tools(VerdictGroup):
    """Group whose tools take a second to import: a signal changes nothing until then."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        found = super().resolve_command(ctx, args)
        interrupts.begun()
        return found


@click.group(
    cls=_Tools,
    registry=_TOOLS,
    groups=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="healthd-deploy")
def main() -> None:
    """Deploy a version, and keep it only if healthd's gates pass.

    \b
    Exit codes: 0 promoted · 1 failed and put back ·
    2 inconclusive and put back · 3 could not ask ·
    4 could not be put back: a person is needed · 130 interrupted and put back.
    """


def run() -> None:
    """Run the command line and end the process."""
    interrupts.nothing_begun()
    leaving.run(main, patience=_PATIENCE)
