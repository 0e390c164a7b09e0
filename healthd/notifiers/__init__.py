"""Kinds of notifier. A new one is a file here, a line in the registry, a test and a paragraph in the docs."""

from __future__ import annotations

from healthd.notifiers.contract import Notifier, NotifierConfig
from healthd.registry import Registry

KINDS = {
    "alertmanager": "healthd.notifiers.alertmanager:Alertmanager",
    "apprise": "healthd.notifiers.apprise:Apprise",
    "email": "healthd.notifiers.email:Email",
    "grafana": "healthd.notifiers.grafana:Grafana",
    "pagerduty": "healthd.notifiers.pagerduty:PagerDuty",
    "sendgrid": "healthd.notifiers.sendgrid:SendGrid",
    "sentry": "healthd.notifiers.sentry:Sentry",
    "slack": "healthd.notifiers.slack:Slack",
    "webhook": "healthd.notifiers.webhook:Webhook",
}
NOTIFIERS: Registry[Notifier] = Registry("notifier", "healthd.notifiers", KINDS, NotifierConfig, ("send",))
