"""The gate's HTTP API. It reads calls, asks the gate service and words the answers; it decides nothing."""
