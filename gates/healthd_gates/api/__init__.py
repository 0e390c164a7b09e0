"""The gate's HTTP API. It reads calls, asks the gatekeeper and words the answers; it decides nothing."""
