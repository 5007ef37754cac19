"""The daily run: every organization's figures, what they give cause to say, and what goes into the benchmarks.

What always holds: no transaction is open while something computes; what was found, what was withdrawn, the figures and the
mark of the organization commit together, so a crash repeats at most the organizations it was at.
"""
