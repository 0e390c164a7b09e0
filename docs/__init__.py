"""The documentation, and what writes the generated parts of it.

A package of its own: aiomysql installs a folder `docs` beside itself, and Python would take the two for one.
"""
