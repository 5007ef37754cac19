"""Valkey: the bell, arq's queue, and short-lived values.

Nothing here is the truth: whoever is woken reads the database, and whoever is not woken finds out within a second.
"""

from server.queue.bell import Bell
from server.queue.jobs import PREDICTIONS, Job, Queue
from server.queue.valkey import QueueUnavailable, Valkey

__all__ = ["PREDICTIONS", "Bell", "Job", "Queue", "QueueUnavailable", "Valkey"]
