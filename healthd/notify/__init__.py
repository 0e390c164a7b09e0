"""The kinds of notifier. A new one is a file here, a line in the registry, a test and a paragraph in the docs."""

from __future__ import annotations

from healthd.notify.alertmanager import Alertmanager
from healthd.notify.contract import Notifier
from healthd.notify.grafana import Grafana
from healthd.notify.pagerduty import PagerDuty
from healthd.notify.sendgrid import SendGrid
from healthd.notify.sentry import Sentry
from healthd.notify.slack import Slack
from healthd.notify.webhook import Webhook

KINDS: dict[str, type[Notifier]] = {
    "alertmanager": Alertmanager,
    "grafana": Grafana,
    "pagerduty": PagerDuty,
    "sendgrid": SendGrid,
    "sentry": Sentry,
    "slack": Slack,
    "webhook": Webhook,
}
