"""Journal: the durable store, on SQLite for one process or PostgreSQL for many."""
