"""The commands of `healthd`, a file a family. They parse and print; what they call does the work."""
