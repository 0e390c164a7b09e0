"""Commands of `healthd`, one file per family. They parse and print; the functions that they call do the work."""
