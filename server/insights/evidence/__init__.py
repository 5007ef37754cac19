"""What the nightly run reads of an organization's facts, in one statement per domain.

What always holds: an organization without facts of a domain has empty evidence, not an error; nothing here is written.
"""
