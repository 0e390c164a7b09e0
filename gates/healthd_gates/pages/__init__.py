"""The live page of a gate, and what the status page shows of gates. Nothing is decided here."""
