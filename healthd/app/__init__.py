"""Composition root: builds everything, health first, and does start, reload and stop."""
