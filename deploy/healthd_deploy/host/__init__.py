"""Releases of a Node.js application on one host, under PM2."""
