"""The configuration: its models, its file and its JSON schema."""
