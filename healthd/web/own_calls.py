"""Descriptions of the daemon's own calls: health, checks, heartbeats, metrics. Their handlers are in other files."""

from __future__ import annotations

from pydantic import BaseModel

from healthd.web.description import NAME, Answer, Description
from healthd.web.schema import (
    GroupAnswer,
    HealthAnswer,
    IetfAnswer,
    MetricsQuery,
    NamedCheckAnswer,
    WindowAnswer,
    WindowsAnswer,
)
from healthd.web.windows_api import NewWindow

_STATUS = {"X-Health-Status": "The status of the whole or of the group: healthy, degraded, unhealthy or unknown."}
_ALLOW = {"Allow": "The methods that are answered here."}
_IETF = {"application/health+json": IetfAnswer}
_GROUPS = {
    "live": "Whether the daemon itself lives, for a liveness probe; a database that is down changes nothing here.",
    "ready": "Whether traffic may be sent here, for a readiness probe and load balancers.",
    "startup": "Whether what the group needs has been probed and is up, for a startup probe.",
}
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
        Description(
            "heartbeat", "POST", "/heartbeats/{name}", "checks",
            "Report in, for a check of kind heartbeat: a backup or a cron job has run.",
            {200: Answer("The check, which is up again.", NamedCheckAnswer)},
            "heartbeats:write",
            {**_REFUSED, 404: "No such heartbeat.", 409: "A reload removed or changed the check meanwhile."},
            {"name": NAME},
        ),
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
            {**_REFUSED, 400: "No JSON.", 413: "Too long.", 422: "No such window can be.", 429: "Too many."},
            body=NewWindow,
        ),
        Description(
            "end_window", "DELETE", "/windows/{id}", "windows", "End a window now.",
            {200: Answer("The window that was ended.", WindowAnswer)},
            "windows:write", {**_REFUSED, 404: "No such window."}, {"id": NAME},
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
