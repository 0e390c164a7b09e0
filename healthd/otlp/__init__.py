"""Out by OTLP: the daemon's metrics, and a span for each gate, to a receiver of OpenTelemetry over HTTP."""
