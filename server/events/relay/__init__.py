"""Publishing: from the outboxes into each organization's sequence.

What always holds: one relay at a time, whatever the number of processes; an event leaves its outbox in the transaction that
gives it its sequence; a sequence has no gaps, and a larger one is committed later. An event whose id is published already
is dropped. At least once therefore means once for as long as events are kept.
"""
