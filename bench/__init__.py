"""Benchmarks. Each compares two things within one run, since machines differ and drift; none passes or fails."""
