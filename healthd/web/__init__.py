"""HTTP: health endpoints, metrics, and the small authorised API. Nothing here probes a dependency on its own."""
