"""What people see and are told of, with real Prometheus and Alertmanager."""
