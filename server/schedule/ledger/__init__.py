"""The ledger of ticks: which instant of which schedule was taken, and by which run.

A tick is written together with its run, in one statement, and is unique: one effect per tick, whatever the number of
workers. Ticks of a schedule are only taken forwards, and never those from before the schedule was first seen.
"""
