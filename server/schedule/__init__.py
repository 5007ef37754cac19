"""Runs of background jobs: asked for, taken by one worker under a lease, ended once.

At most one run per job and scope is unfinished, by a partial unique index; a run whose worker vanished is taken again by
another, and FAILED after too many of those.
"""
