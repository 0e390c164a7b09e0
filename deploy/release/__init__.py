"""Builds a release: packages, zipapp, chart, bill of materials, checksums and provenance, the same bytes each time."""
