"""What a prediction's most frequent calls do in one statement and one round trip, without a transaction around it.

What always holds: the statement sets its tenant itself and is committed when it returns; what it answers by a remembered
model version holds only while that version is the active one, which the same statement checks.
"""
