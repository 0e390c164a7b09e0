"""The live page of a gate."""
