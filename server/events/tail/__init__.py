"""Reading published events after a place in their sequence.

What always holds: a page begins right after the place that was asked for and has no gap, or it is refused; what the
filters leave out counts as read.
"""
