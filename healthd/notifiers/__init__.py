"""The kinds of notifier. A new one is a file here, a line in the registry, a test and a paragraph in the docs."""

from __future__ import annotations

from healthd.notifiers.alertmanager import Alertmanager
from healthd.notifiers.contract import Notifier
from healthd.notifiers.grafana import Grafana
from healthd.notifiers.pagerduty import PagerDuty
from healthd.notifiers.sendgrid import SendGrid
from healthd.notifiers.sentry import Sentry
from healthd.notifiers.slack import Slack
from healthd.notifiers.webhook import Webhook

KINDS: dict[str, type[Notifier]] = {
    "alertmanager": Alertmanager,
    "grafana": Grafana,
    "pagerduty": PagerDuty,
    "sendgrid": SendGrid,
    "sentry": Sentry,
    "slack": Slack,
    "webhook": Webhook,
}
