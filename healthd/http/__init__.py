"""HTTP as every client of ours does it: sessions, and what the headers of an answer ask for."""
