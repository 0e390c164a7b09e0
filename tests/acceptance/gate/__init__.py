"""The gate end to end: a service in two versions behind NGINX, Prometheus, a load generator, healthd, and curl."""
