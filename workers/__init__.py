"""The worker process: executes queued predictions and runs background jobs.

It is stateless: whatever it holds is under a lease in the database, so a worker may vanish at any moment.
"""
