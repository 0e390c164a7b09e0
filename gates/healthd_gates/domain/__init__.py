"""The values of a gate and of its events, without I/O and without a clock."""
