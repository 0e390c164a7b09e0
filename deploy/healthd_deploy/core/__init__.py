"""Common parts of every deploy tool: the order of a deploy, its gates, its exit codes, its report."""
