"""The deployment gate: evidence, judge, gatekeeper, actions. It uses healthd's ports, never the reverse."""
