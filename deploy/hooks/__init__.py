"""What runs at a deploy tool's side to bring its hooks to healthd."""
