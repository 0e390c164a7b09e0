"""The deployment gate: evidence, judge, engine, actions. It uses healthd's ports, never the reverse."""
