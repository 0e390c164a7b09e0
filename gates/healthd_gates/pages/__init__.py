"""The live page of a gate, and the gates on the status page. Nothing is decided here."""
