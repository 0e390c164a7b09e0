"""How many requests a bad release harms, and how long a good one takes, beside other schedules."""
