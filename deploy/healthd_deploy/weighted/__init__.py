"""Blue-green deploys behind a proxy that keeps a weight for each target."""
