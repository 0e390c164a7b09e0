"""Other people's deploy tools, as far as they decide: each loop as the tool's own source has it, its requests in the
form that the tool sends, read from the files that ship in `deploy/hooks`. What they deploy is
only their own word for it.
"""
