"""Erasing insights together with the facts.

What always holds: nothing here is left to a later run; an insight that stays is the one that it was.
"""
