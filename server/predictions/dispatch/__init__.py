"""Starting queued predictions within the limits, and taking back those whose worker vanished.

What always holds: a start is counted in an append-only table in the transaction that makes it, and no two processes
start jobs at the same time, so the limits are exact in any window.
"""
