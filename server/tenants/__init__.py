"""Organizations as they describe themselves: profile and switches.

An organization exists from its first write on (its identity provider vouches for it); what it never set has the stated
default. Switches are read where they matter, at the moment they matter, so that switching off holds at once.
"""
