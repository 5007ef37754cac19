"""Pure statistics over arrays: quartiles on a public grid, disclosure control, private quantiles.

What always holds: nothing here reads a database, a clock or a setting; the same arguments give the same answer, but for the
noise of private quantiles.
"""
