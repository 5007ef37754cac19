"""Training of the shared models on pooled, de-identified rows of consenting organizations.

What always holds: the rows come through a view that shows neither organization nor subject, consent is read in the same
query, and a version becomes active only with its evidence stored.
"""
