"""Monitoring: runs the checks by schedule, probe, rise and fall, and keeps the board that everything else reads."""
