"""Client of the Kubernetes API, with the credentials that kubectl would use."""
