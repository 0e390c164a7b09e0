"""Tools that the image is built with."""
