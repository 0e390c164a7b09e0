"""What healthd is deployed with, and what builds a release of it."""
