"""Insights: what a manager should know, found at night and read in the morning.

What always holds: a subject has at most one insight of a type, by its fingerprint, so that finding it again updates it; one
that was dismissed stays dismissed until it gets worse; what is expired or dismissed is never shown.
"""
