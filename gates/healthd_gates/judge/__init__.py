"""The decision engine: pure mathematics. No input or output, no clock, no logging, standard library
only.
"""
