"""Blue-green deploys behind HAProxy: the traffic is divided by the weights of a backend's servers."""
