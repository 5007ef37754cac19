"""Active insights as callers read them, in one statement and one round trip, without a transaction around it.

What always holds: the statement sets its tenant itself; no row of it is dismissed or expired at that instant; what it
returns is the ready message of each insight, and what differs from caller to caller beside it.
"""
