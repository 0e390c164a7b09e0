"""The source `otlp`: an OpenTelemetry receiver. The API takes exports, and gates read what they said."""
