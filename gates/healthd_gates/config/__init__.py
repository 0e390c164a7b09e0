"""The gate's part of a configuration file."""
