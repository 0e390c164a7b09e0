"""Deploy tools that use the gate: each folder is a platform. They talk to healthd through its API alone."""
