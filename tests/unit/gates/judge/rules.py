"""The rule that most tests of the judge go by."""

from healthd_gates.criteria.comparison import Compare
from healthd_gates.criteria.error_rate import ErrorRate

BY_ERRORS = (ErrorRate(compare=Compare()),)
"""At most 5 % errors, and no worse than the baseline beside it."""
