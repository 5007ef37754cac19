"""Traces, metrics and logs of a process.

What always holds here: no payload leaves the process this way. Spans and log lines carry ids, names, codes and times;
an exception is told by its type and its frames, never by its text, which may quote an input.
"""
