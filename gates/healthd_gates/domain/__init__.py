"""What a gate is and what happens to it: values without I/O and without a clock."""
