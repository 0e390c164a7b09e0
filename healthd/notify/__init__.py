"""Delivers notifications: which notifier is told what, in which order, how often."""
