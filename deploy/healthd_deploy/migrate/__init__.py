"""Database migrations for PostgreSQL and MongoDB: `healthd-deploy migrate`. The daemon's check `migrations` reads the
history that is written here."""
