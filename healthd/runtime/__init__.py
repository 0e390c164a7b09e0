"""What every part of the process stands on: the event loop, deadlines, the clock, redaction, systemd."""
