"""Answers to mutating calls that carried a `request_id`: the same id and request get the first answer for 24 hours.

The record is written in the transaction of the act, so there is one exactly when the act happened. It holds the hash of
the request and the bytes of the answer, never the request.
"""
