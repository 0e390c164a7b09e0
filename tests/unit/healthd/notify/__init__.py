"""Telling people, in virtual time."""
