"""Delivery of notifications: which notifier sends what, in which order, how often."""
