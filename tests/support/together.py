"""Which test process runs which files: a file as a whole, what shares a demo in one, and what takes longest first."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

LONGEST = (
    "tests/embedded/test_make_run.py",
    "tests/docs/test_commands.py",
    "tests/chaos/test_guarantee_01.py",
    "tests/tenancy/test_isolation.py",
    "tests/queue/test_limits.py",
    "tests/benchmarks/test_guarantee_16.py",
    "tests/predictions/test_backlog.py",
)
"""Begun while others are still to come, so that no process waits for them at the end."""

SHARED = {
    "tests/ctl/test_against_server.py": "tests/docs/test_commands.py",
    "tests/ml/test_forecast_evaluation.py": "tests/ml/test_forecasting.py",
    "tests/ml/test_forecaster.py": "tests/ml/test_forecasting.py",
}
"""Files that go with another, whose demo or model they use."""


class Together(LoadFileScheduling):
    """As `--dist loadfile`, but for `SHARED`; it keeps the order of the collection."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return SHARED.get(file, file)


def place(nodeid: str) -> int:
    """Where a test belongs in the order: files of `LONGEST` first, with what goes with them."""
    file = nodeid.split("::", 1)[0]
    file = SHARED.get(file, file)
    return LONGEST.index(file) if file in LONGEST else len(LONGEST)
