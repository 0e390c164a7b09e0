"""The options of the hooks, a file for each deploy tool. How a tool asks is in its dialect, in `hooks` by `config`."""
