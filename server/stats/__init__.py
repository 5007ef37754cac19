"""Statistics over plain numbers: what is usual, how far something is from it, how sure one can be, and what may be told.

What always holds: no input and no output, nothing of the domain, numpy at most; a figure is a finite number or None, never
NaN; the source of every formula is named beside it.
"""
