"""What the nightly run looks for: a pure function per kind of insight, from figures to findings.

What always holds: no clock and no input (the date and the time are given), the same figures give the same findings in the
same order; a case that cannot be judged is a `Skipped` with its reason and never a finding; no text names a person, and
pseudonyms stand in `data_points["employees"]` alone, so that an erased one can be taken out.
"""
