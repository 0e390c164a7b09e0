"""Runtime: the event loop, deadlines, the clock, redaction, systemd."""
