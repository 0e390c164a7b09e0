"""healthd: the monitoring daemon. It serves health with gates off or broken and knows nothing of them."""

__version__ = "0.1.0"
