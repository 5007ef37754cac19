"""Predictions: accepted means it ends.

What always holds: equal inputs of an organization for a model version are one job; a job's state changes only along
`model.TRANSITIONS`; a result is written only by the holder of the job's lease; the raw input exists as ciphertext in
Valkey while its job is unfinished and nowhere else.
"""
