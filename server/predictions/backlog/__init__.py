"""How much waits: the caps on what is accepted, and the figures of the whole queue.

What always holds: requests never leave an organization with more waiting jobs than its cap, however many come at once.
The cap in all goes by the last count, at most `store.FRESH_SECONDS` (or twenty times as long as counting takes) old, so
it may be passed by what was accepted since. A job that goes back to the queue (a retry, a lost worker) was accepted
before and is never refused.
"""
