"""AWS as every client of ours calls it."""
