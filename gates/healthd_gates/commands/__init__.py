"""The commands of `healthd gate`, a file a family. They parse, print and choose exit codes; the daemon decides."""
