"""A worker of a release whose arguments of jobs have another form, and so another queue."""

from __future__ import annotations

import sys

from server.predictions import jobs
from workers import __main__ as worker
from workers import runtime

OTHER = "analytics:predictions:of-another-release"

if __name__ == "__main__":
    vars(jobs)["PREDICTIONS"] = OTHER
    vars(runtime)["PREDICTIONS"] = OTHER
    sys.exit(worker.main())
