"""The journal: the durable store of what is worth remembering, on SQLite for one process or PostgreSQL for many."""
