"""Doubles of services of telemetry: what each keeps of its original is in README.md."""
