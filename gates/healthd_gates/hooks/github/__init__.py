"""GitHub's custom deployment protection rules."""
