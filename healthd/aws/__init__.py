"""AWS clients for the whole daemon."""
