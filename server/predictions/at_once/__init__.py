"""What a prediction's most frequent calls do in one statement and one round trip, without a transaction around it.

What always holds: the statement sets its tenant itself and is committed when it returns. A duplicate is answered by a
remembered model version only while that version is the active one, which the same statement checks; a new job keeps the
version that was active when its input was checked, as it does on the longer way.
"""
