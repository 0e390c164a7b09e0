"""Descriptions of the daemon's own calls: health, checks, heartbeats, metrics. Their handlers are in other files."""

from __future__ import annotations

from pydantic import BaseModel

from healthd.web.description import NAME, Answer, Description
from healthd.web.history_schema import AuditAnswer, AuditQuery, CheckHistoryAnswer, HistoryAnswer, HistoryQuery
from healthd.web.incident_schema import IncidentAnswer, IncidentsAnswer
from healthd.web.new_window import NewWindow
from healthd.web.public.written import NewIncident, NewUpdate
from healthd.web.schema import (
    GroupAnswer,
    HealthAnswer,
    IetfAnswer,
    MetricsQuery,
    NamedCheckAnswer,
    PingQuery,
    WindowAnswer,
    WindowsAnswer,
)

_STATUS = {"X-Health-Status": "The status of the whole or of the group: healthy, degraded, unhealthy or unknown."}
_ALLOW = {"Allow": "The methods that are answered here."}
_IETF = {"application/health+json": IetfAnswer}
_GROUPS = {
    "live": "Whether the daemon itself lives, for a liveness probe; a database that is down changes nothing here.",
    "ready": "Whether traffic may be sent here, for a readiness probe and load balancers.",
    "startup": "Whether every check of the group has been probed, whatever was found, for a startup probe.",
}
_SIGNAL = "(start|fail|log|[0-9]{1,3})"
_KEY = "[A-Za-z0-9_-]{16,64}"
_OR_ELSE = ", by `start` that it begins, by `fail` or an exit code that it failed, by `log` only what it writes"
_BODY_LIMIT = {"Ping-Body-Limit": "The end of a body that is read, in bytes."}
_REFUSED = {
    401: "No token, or one that is not known.",
    403: "The token lacks the scope, or is bound to other checks and services.",
}


def descriptions() -> list[Description]:
    """Return all descriptions. GET means HEAD as well."""
    return [
        *_both("health", "/health", "How everything stands.", HealthAnswer),
        *_both("live", "/health/live", _GROUPS["live"], GroupAnswer),
        *_both("ready", "/health/ready", _GROUPS["ready"], GroupAnswer),
        *_both("startup", "/health/startup", _GROUPS["startup"], GroupAnswer),
        *_both("group", "/health/{group}", "How a configured group of checks stands.", GroupAnswer, "group"),
        _health("options_root", "OPTIONS", "/", "As `OPTIONS /health/ready`, for HAProxy's httpchk.", GroupAnswer),
        Description(
            "run_check", "POST", "/checks/{name}/run", "checks",
            "Run a check now, or join the run under way, and answer with what it found.",
            {200: Answer("The check as it stands then.", NamedCheckAnswer)},
            "checks:run",
            {**_REFUSED, 404: "No such check.", 409: "A reload removed or changed the check meanwhile."},
            {"name": NAME},
        ),
        *(_beat(name, path) for name, path in (("heartbeat", ""), ("heartbeat_signal", "/{signal}"))),
        *(_ping(method, path) for method in ("GET", "POST") for path in ("", "/{signal}")),
        Description(
            "list_windows", "GET", "/windows", "windows",
            "Windows that callers have added and that are not over; those of the configuration are not among them.",
            {200: Answer("Them.", WindowsAnswer)}, "health:read", _REFUSED,
        ),
        Description(
            "add_window", "POST", "/windows", "windows",
            "Put checks in maintenance, silence, pause or acknowledge them, or freeze services, for a time.",
            {201: Answer("The window, which is in force here, and within seconds on every replica.", WindowAnswer)},
            "windows:write",
            {
                **_REFUSED, 400: "No JSON.", 409: "Nothing fails that could be acknowledged.", 413: "Too long.",
                422: "No such window can be.", 429: "Too many.",
            },
            body=NewWindow,
        ),
        Description(
            "end_window", "DELETE", "/windows/{id}", "windows", "End a window now.",
            {200: Answer("The window that was ended.", WindowAnswer)},
            "windows:write", {**_REFUSED, 404: "No such window.", 409: "Several begin so."}, {"id": NAME},
        ),
        Description(
            "list_incidents", "GET", "/incidents", "incidents",
            "Incidents and announcements on the public pages, those that are open first, then the latest.",
            {200: Answer("Them.", IncidentsAnswer)}, "health:read", _REFUSED,
        ),
        Description(
            "open_incident", "POST", "/incidents", "incidents", "Tell customers of an incident, or announce something.",
            {201: Answer("The incident, which is shown here, and within seconds by every replica.", IncidentAnswer)},
            "incidents:write",
            {**_REFUSED, 400: "No JSON.", 413: "Too long.", 422: "No such incident can be.", 429: "Too many."},
            body=NewIncident,
        ),
        Description(
            "update_incident", "POST", "/incidents/{incident}/updates", "incidents",
            "Tell how far an incident is, or that it is resolved.",
            {201: Answer("The incident with the update.", IncidentAnswer)},
            "incidents:write",
            {
                **_REFUSED, 400: "No JSON.", 404: "No such incident.",
                409: "Several begin so, or it is over and nobody asks to open it again.", 413: "Too long.",
                422: "No such update can be.", 429: "Too many.",
            },
            {"incident": NAME}, body=NewUpdate,
        ),
        Description(
            "withdraw_incident", "DELETE", "/incidents/{incident}", "incidents",
            "Take an incident with all its updates from the pages; the audit keeps it.",
            {200: Answer("The incident that was withdrawn.", IncidentAnswer)},
            "incidents:write", {**_REFUSED, 404: "No such incident.", 409: "Several begin so."}, {"incident": NAME},
        ),
        Description(
            "history", "GET", "/history", "history",
            "Uptime of every check and group over 24 hours, 7, 30 and 90 days, without maintenance and pauses.",
            {200: Answer("It.", HistoryAnswer)}, "health:read", {**_REFUSED, 503: "The journal cannot be read."},
        ),
        Description(
            "check_history", "GET", "/history/{name}", "history", "Uptime and failures of one check.",
            {200: Answer("Them.", CheckHistoryAnswer)}, "health:read",
            {**_REFUSED, 400: "The query is not valid.", 404: "No such check.", 503: "The journal cannot be read."},
            {"name": NAME}, query=HistoryQuery,
        ),
        Description(
            "audit", "GET", "/audit", "audit", "Changes that callers made, newest first.",
            {200: Answer("A page of them.", AuditAnswer)}, "audit:read",
            {**_REFUSED, 400: "The query is not valid.", 503: "The journal cannot be read."}, query=AuditQuery,
        ),
        Description(
            "metrics", "GET", "/metrics", "metrics", "Every metric, for Prometheus to scrape.",
            {200: Answer("Them.", None, "text/plain", also={"application/openmetrics-text": None})}, query=MetricsQuery,
        ),
        Description(
            "describe", "GET", "/openapi.json", "description",
            "This description, as OpenAPI 3.1; `/docs` shows it to people.", {200: Answer("It.", _AnyObject)},
        ),
    ]  # fmt: skip


class _AnyObject(BaseModel, extra="allow", title="OpenAPI"):
    """An OpenAPI 3.1 document."""


def _beat(name: str, end: str) -> Description:
    return Description(
        name, "POST", f"/heartbeats/{{name}}{end}", "checks",
        f"Report for a check of kind heartbeat that a job has succeeded{_OR_ELSE if end else ''}.",
        {200: Answer("The check as it stands then.", NamedCheckAnswer)},
        "heartbeats:write",
        {
            **_REFUSED,
            400: "No such signal or rid.",
            404: "No such heartbeat.",
            409: "A reload removed or changed the check meanwhile.",
        },
        {"name": NAME, **({"signal": _SIGNAL} if end else {})},
        query=PingQuery,
    )  # fmt: skip


def _ping(method: str, end: str) -> Description:
    name = f"{method.lower()}_ping{'_signal' if end else ''}"
    return Description(
        name, method, f"/ping/{{key}}{end}", "checks",
        f"The same by the key of the check, without a token{_OR_ELSE if end else ''}; a body is the log of the job.",
        {200: Answer("It counts.", None, "text/plain", headers=_BODY_LIMIT)},
        every_refusal={400: "No such signal or rid.", 404: "No heartbeat has this key."},
        path_patterns={"key": _KEY, **({"signal": _SIGNAL} if end else {})},
        query=PingQuery,
    )  # fmt: skip


def _both(name: str, path: str, summary: str, model: type[BaseModel], part: str = "") -> list[Description]:
    return [
        _health(f"get_{name}", "GET", path, summary, model, part),
        _health(f"options_{name}", "OPTIONS", path, f"The same, with `Allow`. {summary}", model, part),
    ]


def _health(name: str, method: str, path: str, summary: str, model: type[BaseModel], part: str = "") -> Description:
    headers = _STATUS if method == "GET" else {**_STATUS, **_ALLOW}
    return Description(
        name, method, path, "health", summary,
        {
            200: Answer("It is up; what this caller may not see is left out.", model, headers=headers, also=_IETF),
            503: Answer("It is not up.", model, headers=headers, also=_IETF),
        },
        every_refusal={404: "No such group."} if part else {},
        path_patterns={part: NAME} if part else {},
    )  # fmt: skip
