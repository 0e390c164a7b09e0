"""Report errors of the daemon to Sentry, with the checks' transitions as breadcrumbs. Without a DSN not even
imported."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from yarl import URL

from healthd import __version__
from healthd.config.settings import Settings
from healthd.http.outgoing import Way
from healthd.model import Transition
from healthd.runtime.redaction import Redactor

if TYPE_CHECKING:
    from sentry_sdk.types import Breadcrumb, Event

_FLUSHING = 2.0  # seconds to send what is left when the daemon stops
_LONGEST_TEXT = 100_000  # characters; a text must not be cut before it is redacted
_OWN = ("sentry_sdk", "urllib3")  # loggers of the reporting itself


class Reports:
    """Reports to Sentry. Nothing is sent unredacted: neither events nor breadcrumbs, and no local variables."""

    def __init__(self, dsn: str, environment: str, redact: Redactor, way: Way | None = None) -> None:
        self.environment = environment
        """Environment in every event; a reload may change it."""
        import sentry_sdk
        from sentry_sdk.integrations.dedupe import DedupeIntegration

        def clean_event(event: Event, _hint: dict[str, Any]) -> Event:
            cleaned: Event = redact.deeply(event)
            cleaned["environment"] = self.environment
            return cleaned

        def clean_breadcrumb(crumb: Breadcrumb, _hint: dict[str, Any]) -> Breadcrumb:
            cleaned: Breadcrumb = {**crumb, "message": redact(crumb["message"])}
            return cleaned

        self._sdk = sentry_sdk
        sentry_sdk.init(
            dsn=dsn,
            release=f"healthd@{__version__}",
            environment=environment,
            include_local_variables=False,
            max_value_length=_LONGEST_TEXT,
            # None that patches libraries: they would add requests, queries and arguments.
            default_integrations=False,
            auto_enabling_integrations=False,
            integrations=[DedupeIntegration()],
            before_send=clean_event,
            before_breadcrumb=clean_breadcrumb,
            **_proxy_options(dsn, way or Way()),
        )
        self._handler = _Handler(self)
        logging.getLogger().addHandler(self._handler)

    def changed(self, transition: Transition) -> None:
        """Add a breadcrumb, in the scope that every task and thread shares."""
        result = transition.probe.result if transition.probe else None
        why = "" if result is None or result.kind is None else f" ({result.kind}: {result.message})"
        self._sdk.get_global_scope().add_breadcrumb(
            category="check",
            message=f"{transition.check}: {transition.old} → {transition.new}{why}",
            level="info" if transition.new.is_up else "warning",
            timestamp=transition.at,
        )

    def report(self, text: str, error: BaseException | None, extras: dict[str, Any]) -> None:
        """Send an error. Returns at once; a thread of the SDK sends it."""
        with self._sdk.new_scope() as scope:
            for key, value in {**extras, "event": text}.items():
                scope.set_extra(key, value)
            if error is None:
                self._sdk.capture_message(text, level="error")
            else:
                self._sdk.capture_exception(error)

    def close(self) -> None:
        """Send what is left, and stop. Blocks for up to two seconds."""
        logging.getLogger().removeHandler(self._handler)
        self._sdk.get_client().close(timeout=_FLUSHING)


class _Handler(logging.Handler):
    """Reports every record of level `error` or above."""

    stays = True  # when the root's handlers are replaced

    def __init__(self, reports: Reports) -> None:
        super().__init__(logging.ERROR)
        self._reports = reports

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(_OWN):
            return
        fields: dict[str, Any] = dict(record.msg) if isinstance(record.msg, dict) else {}  # what structlog hands over
        text = str(fields.pop("event", None) or record.getMessage())
        error = _error_of(fields.pop("exc_info", None) or record.exc_info)
        self._reports.report(text, error, {"logger": record.name, **fields})


def _error_of(given: Any) -> BaseException | None:
    """Return the exception in logging's `exc_info`: an exception, a triple, or `True` for the one handled now."""
    match given:
        case BaseException():
            return given
        case (_, BaseException() as error, _):
            return error
        case True:
            return sys.exception()
    return None


def _proxy_options(dsn: str, way: Way) -> dict[str, Any]:
    """Return the SDK's options for the way to a DSN. Without proxies it goes by the environment."""
    if not way.has_proxies:
        return {}
    proxy = way.to(URL(dsn))
    if proxy is None:
        return {"http_proxy": "", "https_proxy": ""}
    return {"http_proxy": str(proxy.url), "https_proxy": str(proxy.url), "proxy_headers": proxy.headers}


def start(settings: Settings, redact: Redactor) -> Reports | None:
    """Return reports to the configured DSN; None without one."""
    if settings.sentry.dsn is None or not (dsn := settings.sentry.dsn.get_secret_value()):
        return None
    return Reports(dsn, settings.environment, redact, settings.outgoing.way)
