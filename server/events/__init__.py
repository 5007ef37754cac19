"""Events: what others may want to know, written in the transaction of the change it tells of.

What always holds: an event row exists exactly when its change was committed, and once, because its id is derived from
what changed. Publishing the rows is the relay's part.
"""
