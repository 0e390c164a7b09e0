"""Public pages, for customers: they show what the configuration names for them and what people write, and nothing of
the inside. All that a page says is made from the values in `standing`, `past` and `planned`, which hold no name of a
check, no message and no address."""
