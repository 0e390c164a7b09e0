"""Blue-green deploys behind NGINX: the switch is an upstream that NGINX includes."""
