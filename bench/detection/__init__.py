"""How fast the judge sees harm and how often it is wrong, beside other gates' rules on the same streams."""
