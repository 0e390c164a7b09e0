"""Gates in the journal: their state, their log, the outbox of their actions, their owners, locks and quarantine."""
