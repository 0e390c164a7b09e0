"""Tools that healthd is deployed with, and that build a release of it."""
