"""Pooled rows: turnover by years at risk, ratios that no row can break, and one order.

* A view that keeps the latest state with a known outcome keeps everybody who ever left and everybody who stayed, once each: after
  five years of fifteen leavers in a hundred, half of its rows say "left". Now an employee counts once for each year, with the
  first state of it, which nobody chooses by what came after. For the same reason an outcome is only concluded from exits where the
  twelve months are over, for those who left as for those who stayed.
* A target or a scale next to 0 overflowed, and the error was everybody's.
* Rows are numbered by organization first, as their contributors are: one sort of very many wide rows in place of two.
"""

from __future__ import annotations

from alembic import context, op

revision = "0010"
down_revision = "0009"

_BY_SUBJECT = "OVER (ORDER BY md5(org_id || ':'"
_BY_ORGANIZATION_TOO = "OVER (ORDER BY md5(org_id), md5(org_id || ':'"

# Years are counted back from the newest state with an outcome; thirty days of grace, or states of the same day of two years would
# be of one.
_TURNOVER = (
    ("CASE WHEN EXISTS (", "CASE WHEN reach.until >= e.as_of + interval '12 months' THEN EXISTS ("),
    (") THEN true WHEN reach.until >= e.as_of + interval '12 months' THEN false END", ") END"),
    (
        """SELECT DISTINCT ON (org_id, employee_key) *
            FROM (""",
        """SELECT DISTINCT ON (org_id, employee_key, years_ago) *
            FROM (SELECT *, (max(as_of) OVER (PARTITION BY org_id) - as_of + 30) / 365 AS years_ago FROM (""",
    ),
    (
        """WHERE outcome IS NOT NULL
            ORDER BY org_id, employee_key, as_of DESC""",
        """WHERE outcome IS NOT NULL) known
            ORDER BY org_id, employee_key, years_ago, as_of""",
    ),
)
_REVIEWS = (
    (
        "r.target / coalesce(r.scale_max, 1) AS target",
        "CASE WHEN r.target < 1e-9 THEN 0 ELSE r.target / greatest(coalesce(r.scale_max, 1), 1e-9) END AS target",
    ),
    (
        "least(r.before_score / nullif(r.before_target, 0), 1e6)",
        """CASE WHEN r.before_target > 0 THEN
                       least(CASE WHEN r.before_score < 1e-9 THEN 0 ELSE r.before_score END / greatest(r.before_target, 1e-9), 1e6) END""",
    ),
)
_CHANGES: dict[str, tuple[tuple[str, str], ...]] = {"turnover": _TURNOVER, "contracts": (), "reviews": _REVIEWS, "spend": ()}


def upgrade() -> None:
    """Apply."""
    for name, changes in _CHANGES.items():
        statement = _before(name)
        for old, new in ((_BY_SUBJECT, _BY_ORGANIZATION_TOO), *changes):
            if statement.count(old) != 1:
                msg = f"the view of {name} is not as this revision expects it: {old}"
                raise ValueError(msg)
            statement = statement.replace(old, new)
        op.execute(statement)


def downgrade() -> None:
    """Undo."""
    for name in _CHANGES:
        op.execute(_before(name))


def _before(name: str) -> str:
    """Return the statement that puts the view of revision 0008 in the place of the one that there is."""
    views = context.script.get_revision("0008").module
    statement: str = getattr(views, f"_{name}")()
    return statement.replace("CREATE VIEW", "CREATE OR REPLACE VIEW")
