"""The one clock: a function of the database, so that every process agrees and a test can set it.

In production `analytics_now()` is `clock_timestamp()`: `now()` would be the transaction's start, seconds old after a
wait for a lock. Tests replace the function in their own database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import DateTime, func

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.sql.functions import Function

type_ = DateTime(timezone=True)


def now() -> Function[datetime]:
    """SQL expression of the present instant, with time zone."""
    return func.analytics_now(type_=type_)
