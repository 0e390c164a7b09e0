"""Writes the PrometheusRule from the alert rules, so that there is one place to change them: `make docs`."""

from pathlib import Path
from textwrap import indent

RULES = Path(__file__).parents[1] / "prometheus" / "healthd.rules.yml"
MANIFEST = Path(__file__).parent / "operator" / "prometheusrule.yaml"
_HEAD = """\
# Written by `make docs` from deploy/prometheus/healthd.rules.yml; change that. Needs the Prometheus operator.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: healthd
spec:
"""


def manifest() -> str:
    """The manifest's text: the rules as they are, comments and all, under `spec`."""
    return _HEAD + indent(RULES.read_text(encoding="utf-8"), "  ")


if __name__ == "__main__":
    MANIFEST.write_text(manifest(), encoding="utf-8")
