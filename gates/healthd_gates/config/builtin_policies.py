"""The policies that ship. A policy of the same name in the configuration takes the place of one of these."""

from __future__ import annotations

from typing import Any

SHIPPED: dict[str, dict[str, Any]] = {
    "post-switch": {
        "exposure": "all",
        "settle": "30s",
        "every": "5s",
        "observe": {"at_least": "60s", "at_most": "10m"},
        "criteria": [
            {"kind": "error_rate", "limit": "5%"},
            {"kind": "latency", "quantile": 0.95, "limit": "5s"},
        ],
        "watch": "1h",
    },
    "canary": {
        "settle": "30s",
        "every": "5s",
        "observe": {"at_least": "45s", "at_most": "30m"},
        "criteria": [
            {"kind": "error_rate", "limit": "5%", "compare": {"to": "concurrent"}},
            {"kind": "latency", "quantile": 0.95, "limit": "5s", "compare": {"to": "concurrent"}},
        ],
        "watch": "1h",
    },
    "batch": {
        "settle": "10s",
        "every": "5s",
        "observe": {"at_least": "30s", "at_most": "5m"},
        "criteria": [
            {"kind": "error_rate", "limit": "5%"},
            {"kind": "latency", "quantile": 0.95, "limit": "5s"},
        ],
    },
    "smoke": {
        "settle": "0s",
        "every": "2s",
        "observe": {"at_least": "0s", "at_most": "1m"},
        "criteria": [
            {"kind": "smoke", "requests": [{"get": "/health", "status": 200}], "failures": 3, "startup": "50s"}
        ],
        "quarantine": False,
    },
    "preflight": {
        "settle": "0s",
        "every": "2s",
        "observe": {"at_least": "0s", "at_most": "1m"},
        "criteria": [{"kind": "checks", "group": "preflight", "failures": 3}],
        "quarantine": False,
    },
}
