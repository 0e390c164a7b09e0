"""The built-in policies. A policy of the same name in the configuration replaces one of these."""

from __future__ import annotations

from typing import Any

SHIPPED: dict[str, dict[str, Any]] = {
    "post-switch": {
        "exposure": "all",
        "initial_delay": "30s",
        "interval": "5s",
        "observe": {"min": "60s", "max": "10m"},
        "criteria": [
            {"kind": "error_rate", "limit": "5%", "compare": {"to": "before"}, "weight": 2},
            {"kind": "latency", "quantile": 0.95, "limit": "5s", "compare": {"to": "before"}},
        ],
        "watch": "1h",
    },
    "canary": {
        "initial_delay": "30s",
        "interval": "5s",
        "observe": {"min": "45s", "max": "30m"},
        "criteria": [
            {"kind": "error_rate", "limit": "5%", "compare": {"to": "concurrent"}, "weight": 2},
            {"kind": "latency", "quantile": 0.95, "limit": "5s", "compare": {"to": "concurrent"}},
        ],
        "watch": "1h",
    },
    # Behind an analysis that asks every few seconds. A process that warms up is slower than the one beside it, so that
    # latencies are not compared; with an `initial_delay` they can be, as `canary` does.
    "analysis": {
        "initial_delay": "0s",
        "interval": "1s",
        "observe": {"min": "20s", "max": "30m"},
        "criteria": [
            {"kind": "error_rate", "limit": "5%", "compare": {"to": "concurrent"}, "weight": 2},
            {"kind": "latency", "quantile": 0.95, "limit": "5s"},
        ],
        "watch": "10m",
    },
    "batch": {
        "initial_delay": "10s",
        "interval": "5s",
        "observe": {"min": "30s", "max": "5m"},
        "criteria": [
            {"kind": "error_rate", "limit": "5%", "compare": {"to": "before"}},
            {"kind": "latency", "quantile": 0.95, "limit": "5s", "compare": {"to": "before"}},
        ],
    },
    "smoke": {
        "initial_delay": "0s",
        "interval": "2s",
        "observe": {"min": "0s", "max": "1m"},
        "criteria": [
            {"kind": "smoke", "requests": [{"get": "/health", "status": 200}], "failures": 3, "startup": "50s"}
        ],
        "quarantine": False,
    },
    "preflight": {
        "initial_delay": "0s",
        "interval": "2s",
        "observe": {"min": "0s", "max": "1m"},
        "criteria": [{"kind": "checks", "group": "preflight", "failures": 3}],
        "quarantine": False,
    },
}
