"""Events: what others may want to know, written in the transaction of the change it tells of.

What always holds: an event row exists exactly when its change was committed, and once, because its id is derived from
what changed. One relay at a time publishes the rows: it gives each event its place in its organization's sequence, which
has no gaps and never grows behind a reader. Readers follow that sequence.
"""
