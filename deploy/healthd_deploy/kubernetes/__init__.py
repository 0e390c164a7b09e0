"""healthd in Kubernetes: its manifests, and blue-green deploys there, with a Service's selector as the switch."""
