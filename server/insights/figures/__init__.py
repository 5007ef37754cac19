"""From evidence to what detectors, models and benchmarks are given; pure arithmetic.

What always holds: a figure that cannot be computed is None or missing, never a guess; the month that the run is in is not over
and is no figure.
"""
