"""Measurements against the bare equivalent, in one run on one machine: `make bench`.

What always holds here: a row compares two things measured in turns (ours, bare, ours, bare), so that what else the
machine does meets both; server and worker are processes of their own on databases that flush to disk.
"""

import os

# grpc tells of every process that is started beside an open channel; it reads this when it is first imported.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
