"""The gate's HTTP API. It reads calls, calls the gate service and words the answers; it decides nothing."""
