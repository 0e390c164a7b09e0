"""Runs the checks: schedule, probe, rise and fall, and the board that everything reads."""
