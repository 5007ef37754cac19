"""Upkeep of the queue, in every process, also where no worker is left.

What always holds: a job whose lease ended is taken back, and the input of a job that has not ended stays alive.
"""
