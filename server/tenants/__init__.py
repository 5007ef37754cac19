"""Organizations: which there are, and how they describe themselves, by profile and switches.

An organization exists from its first facts or its first profile on (its identity provider vouches for it): who writes
them calls `store.remember`. What it never set has the stated default. Switches are read where they matter, at the moment
they matter, so that switching off holds at once.
"""
