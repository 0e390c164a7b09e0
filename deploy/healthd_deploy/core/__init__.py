"""What every deploy tool shares: the order of a deploy, its gates, its exit codes, its report."""
