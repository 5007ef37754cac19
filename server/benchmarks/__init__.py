"""Benchmarks: quartiles of organizations by industry and size, and nothing that shows a single one of them.

What always holds: a figure that is shown comes from at least ten organizations of which none weighs over a quarter, on a
public grid; nothing is told apart by subtracting figures, of one release or of two; who switched the contribution off is in
no later release. Which organizations counted is known to the database role `benchmark` alone, under tags that mean nothing
elsewhere.
"""
