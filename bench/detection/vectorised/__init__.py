"""The judge's error rate for many runs at once, in numpy: the formulas of `healthd_gates.judge`, a row a run.

`tests/unit/gates/judge/test_vectorised.py` holds it to the product's own judge, look by look.
"""
