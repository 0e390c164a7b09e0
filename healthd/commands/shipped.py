"""Files that come with healthd: example configurations, files for the deploy tools, alert rules, dashboards.

A wheel has them below `healthd/shipped`; in a checkout they are at the top. `pyproject.toml` lists them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import healthd

_PACKAGE = Path(healthd.__file__).parent
ROOT = _PACKAGE / "shipped" if (_PACKAGE / "shipped").is_dir() else _PACKAGE.parent
PLACES = (
    "config",
    "deploy/aws",
    "deploy/ci",
    "deploy/compose/healthd",
    "deploy/ecs",
    "deploy/haproxy",
    "deploy/helm",
    "deploy/hooks",
    "deploy/host",
    "deploy/kubernetes/base",
    "deploy/kubernetes/blue-green.yaml",
    "deploy/kubernetes/deployer",
    "deploy/kubernetes/example",
    "deploy/kubernetes/operator",
    "deploy/kubernetes/overlays",
    "deploy/kubernetes/rollback",
    "deploy/migrate",
    "deploy/nginx",
    "deploy/prometheus",
    "deploy/systemd",
    "deploy/traefik",
    "grafana/dashboards",
    "grafana/provisioning",
)
NAMES = {
    "minimal": ("config/examples/minimal.yaml", "one service, judged by requests that healthd sends itself"),
    "full": ("config/full.yaml", "every option, with its default or an example"),
    "development": ("config/development.yaml", "one instance on somebody's machine"),
    "staging": ("config/staging.yaml", "watched closely, and nobody is woken"),
    "production": ("config/production.yaml", "everything is watched; gates behind an AWS load balancer"),
    "nginx": ("config/examples/nginx.yaml", "two instances behind NGINX on one host, without Prometheus"),
    "access-log": ("config/examples/access-log.yaml", "two instances behind NGINX, judged by its access log alone"),
    "criteria": ("config/examples/criteria.yaml", "each criterion of numbers of your own, to be tried with pushes"),
    "many-services": ("config/examples/many-services/production.yaml", "forty services of four teams in several files"),
    "docker": ("config/container.yaml", "what the image runs unless told otherwise"),
    "compose": ("deploy/compose/healthd/healthd.yaml", "a shop in two colours behind NGINX, with Docker Compose"),
    "kubernetes": ("deploy/kubernetes/overlays/production/config.yaml", "in a cluster: the ConfigMap of production"),
    "7p-education": (
        "config/examples/7p-education/production.yaml",
        "a real company's production, as a whole one to read: put your own names for its names",
    ),
    "deploy-aws-blue-green": ("deploy/aws/blue-green.yaml", "for healthd-deploy aws blue-green"),
    "deploy-aws-rolling": ("deploy/aws/rolling.yaml", "for healthd-deploy aws rolling"),
    "deploy-haproxy": ("deploy/haproxy/blue-green.yaml", "for healthd-deploy haproxy"),
    "deploy-host": ("deploy/host/release.yaml", "for healthd-deploy host"),
    "deploy-kubernetes": ("deploy/kubernetes/blue-green.yaml", "for healthd-deploy kubernetes"),
    "deploy-migrate": ("deploy/migrate/migrate.yaml", "for healthd-deploy migrate"),
    "deploy-nginx": ("deploy/nginx/blue-green.yaml", "for healthd-deploy nginx"),
    "deploy-traefik": ("deploy/traefik/blue-green.yaml", "for healthd-deploy traefik"),
    "ci-curl": ("deploy/ci/gate.sh", "a gate in a pipeline that has nothing but curl"),
    "ci-github": ("deploy/ci/github.yml", "GitHub Actions"),
    "ci-gitlab": ("deploy/ci/gitlab.yml", "GitLab CI"),
    "helm-values": ("deploy/helm/healthd/values.yaml", "every value of the Helm chart"),
    "hook-argo-rollouts": ("deploy/hooks/argo-analysis-template.yaml", "an AnalysisTemplate that is a gate"),
    "hook-aws": ("deploy/hooks/aws_relay.py", "the Lambda between ECS or CodeDeploy and healthd"),
    "hook-codedeploy": ("deploy/hooks/codedeploy-appspec.yaml", "an AppSpec file whose hooks are gates"),
    "hook-flagger": ("deploy/hooks/flagger-canary.yaml", "a Canary that healthd decides about"),
    "hook-spinnaker": ("deploy/hooks/spinnaker-stage.json", "a webhook stage that is a gate"),
    "prometheus": ("deploy/prometheus/prometheus.yml", "how Prometheus scrapes healthd"),
    "prometheus-rules": ("deploy/prometheus/healthd.rules.yml", "alert rules"),
    "alertmanager": ("deploy/prometheus/alertmanager.yml", "routes for what healthd and the rules alert"),
    "grafana-overview": ("grafana/dashboards/overview.json", "a dashboard: how everything stands"),
    "grafana-deployments": ("grafana/dashboards/deployments.json", "a dashboard: gates and rollbacks"),
    "grafana-dependencies": ("grafana/dashboards/dependencies.json", "a dashboard: databases and third parties"),
    "grafana-healthd": ("grafana/dashboards/healthd-itself.json", "a dashboard: healthd itself"),
    "systemd": ("deploy/systemd/healthd.service", "the unit of systemd"),
    "systemd-config": ("deploy/systemd/config.yaml", "what the installer for systemd begins with"),
    "systemd-install": ("deploy/systemd/install.sh", "the installer for a host with systemd"),
    "ecs": ("deploy/ecs/task-definition.json", "a task definition of Amazon ECS"),
    "terraform": ("deploy/ecs/main.tf", "that task as a service, with Terraform"),
}
"""Files that can be printed, with a description of each."""
_SCHEMA = re.compile(r"^(# yaml-language-server: \$schema=)\S+$", re.MULTILINE)


def read(name: str) -> str:
    """The text of a shipped file. Raises KeyError.

    In the repository a configuration names its schema by a path that leads nowhere from where the text will lie.
    """
    text = (ROOT / NAMES[name][0]).read_text(encoding="utf-8")
    return _SCHEMA.sub(r"\1./healthd.schema.json      healthd config schema > healthd.schema.json", text)


def files() -> Iterator[Path]:
    """Every shipped file, relative to `ROOT`."""
    for place in PLACES:
        path = ROOT / place
        found = path.rglob("*") if path.is_dir() else [path]
        yield from (
            file.relative_to(ROOT) for file in sorted(found) if file.is_file() and "__pycache__" not in file.parts
        )
