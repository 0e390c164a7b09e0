"""Draws the reference pages from the code: each page is a file of this folder."""
