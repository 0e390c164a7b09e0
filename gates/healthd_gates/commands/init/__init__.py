"""`healthd init`: finders look at the host, `plan` chooses, `render` writes the first configuration."""
