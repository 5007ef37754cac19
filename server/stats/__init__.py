"""Statistics over plain numbers: what is usual, how far something is from it, how sure one can be, quartiles, disclosure control.

What always holds: nothing of the domain, no database, clock or setting, numpy and OpenDP at most; a figure is a finite number or
None, never NaN; the same arguments give the same answer, but for the noise of private quantiles; the source of every formula is
named beside it.
"""
