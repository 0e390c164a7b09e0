"""Gates in the journal: their state, their log, the outbox of their actions, who runs them, locks and quarantine."""
