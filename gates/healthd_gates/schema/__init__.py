"""The JSON documents of the API; the client reads the same models."""
