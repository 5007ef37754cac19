"""Runs of background jobs: begun by the clock or by a person, taken by one worker under a lease, ended once.

At most one run per job and scope is unfinished, by a partial unique index; a run whose worker vanished is taken again by
another, and FAILED after too many of those. `calendar` is the page of schedules, `ledger` says which of their ticks were
taken, `marks` what a run has done for each organization.
"""
