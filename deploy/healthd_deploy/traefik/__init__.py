"""Blue-green deploys behind Traefik: the traffic is divided by a weighted service in a file that Traefik watches."""
