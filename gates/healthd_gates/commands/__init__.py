"""The commands of `healthd gate`, one file for each family. They parse, print and choose exit codes; the daemon
decides."""
