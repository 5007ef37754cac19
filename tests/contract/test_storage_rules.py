"""SQL has its places, and a transaction has one way to begin and end."""

from __future__ import annotations

import re

from tests.contract.sources import Source, calls, complaints, imports, strings

SQL_FILES = frozenset({"store.py", "tables.py"})
SQL_PLACES = ("server/db/", "server/schema.py")
SQL_PACKAGES = frozenset({"alembic", "asyncpg", "psycopg", "sqlalchemy"})
STATEMENT = re.compile(
    r"\s*(SELECT\s|INSERT\s+INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|WITH\s+\w+\s+AS\s|"
    r"(CREATE|ALTER|DROP|TRUNCATE)\s+(TABLE|ROLE|DATABASE|INDEX|POLICY)|GRANT\s|REVOKE\s)"
)
BUILT_LOCK = re.compile(r"with_for_update\([^()]*skip_locked=True[^()]*\)(?!\s*\.(scalar_subquery|cte)\()")
"""One that is not read once: a scalar subquery that depends on nothing is, and a WITH."""
TRANSACTION_ENDS = frozenset({"begin", "begin_nested", "commit", "rollback"})


def sql(source: Source) -> list[str]:
    if source.name in SQL_FILES or source.path.startswith(SQL_PLACES):
        return []
    imported = [(line, name) for line, name in imports(source) if name.split(".")[0] in SQL_PACKAGES]
    # To catch a failure by its name is not SQL.
    found = [
        source.at(line, f"imports {name}; SQL belongs into store.py") for line, name in imported if not name.startswith("sqlalchemy.exc.")
    ]
    found += [
        source.at(line, "holds an SQL statement; it belongs into store.py") for line, text in strings(source) if STATEMENT.match(text)
    ]
    return found


def before_its_parenthesis(text: str, place: int) -> str:
    """Return what stands before the parenthesis that a place is in, nothing when it is in none."""
    closed = 0
    for at in range(place - 1, -1, -1):
        closed += (text[at] == ")") - (text[at] == "(")
        if closed < 0:
            return text[:at].rstrip()
    return ""


def locks(source: Source) -> list[str]:
    complaint = "skips what is locked in a part that a planner may run once per row; choose the rows in a WITH"
    built = [source.at(source.text[: found.start()].count("\n") + 1, complaint) for found in BUILT_LOCK.finditer(source.text)]
    return built + [
        source.at(line, complaint)
        for line, text in strings(source)
        for found in re.finditer(r"SKIP\s+LOCKED", text)
        if (before := before_its_parenthesis(text, found.start())) and not before.endswith((" AS", " MATERIALIZED"))
    ]


def transactions(source: Source) -> list[str]:
    if source.path.startswith("server/db/"):
        return []
    found = [
        source.at(call.lineno, f"{name}(): only the helper in server/db begins and ends transactions")
        for call, name in calls(source)
        if "." in name and name.rpartition(".")[2] in TRANSACTION_ENDS
    ]
    found += [
        source.at(line, "sets a session variable; only the helper in server/db does")
        for line, text in strings(source)
        if "set_config" in text
    ]
    return found + [
        source.at(call.lineno, "sets a session variable; only the helper in server/db does")
        for call, name in calls(source)
        if name.rpartition(".")[2] == "set_config"
    ]


def test_sql_is_only_where_sql_belongs() -> None:
    assert not complaints(sql, "server", "workers")


def test_only_the_helper_in_db_begins_and_ends_transactions() -> None:
    assert not complaints(transactions, "server", "workers")


def test_rows_that_are_locked_are_chosen_once_per_statement() -> None:
    assert not complaints(locks, "server", "workers")


def test_control_rows_that_may_be_chosen_once_per_row_are_found() -> None:
    path = "server/insights/store.py"
    chosen = "SELECT id FROM t WHERE org_id = :org AND at <= (SELECT analytics_now()) LIMIT 5 FOR UPDATE SKIP LOCKED"
    for around in ("DELETE FROM t WHERE id IN ({})", "DELETE FROM t USING ({}) c WHERE t.id = c.id", "SELECT ARRAY(\n  {})"):
        assert locks(Source(path, f'query = """{around.format(chosen)}"""'))
    for around in ("{}", "WITH over AS MATERIALIZED ({}) DELETE FROM t USING over WHERE t.id = over.id"):
        assert not locks(Source(path, f'query = """{around.format(chosen)}"""'))
    assert locks(Source(path, "ids = select(t.c.id).with_for_update(skip_locked=True)\nq = delete(t).where(t.c.id.in_(ids))"))
    assert not locks(Source(path, "ids = select(t.c.id).limit(5).with_for_update(skip_locked=True, key_share=True).cte()"))


def test_control_sql_elsewhere_is_found() -> None:
    path = "server/insights/dismiss.py"
    assert sql(Source(path, "from sqlalchemy import text"))
    assert sql(Source(path, "def f():\n    import sqlalchemy.ext.asyncio"))
    assert sql(Source(path, "query = 'SELECT 1'"))
    assert sql(Source(path, 'query = f"""\n  DELETE FROM insights WHERE id = {x}"""'))
    assert not sql(Source(path, "from sqlalchemy.exc import DBAPIError"))
    assert not sql(Source(path, '"""SELECT statements are not here."""\nx = "Select one"'))
    assert not sql(Source("server/insights/store.py", "from sqlalchemy import text"))


def test_control_a_transaction_outside_the_helper_is_found() -> None:
    path = "server/insights/store.py"
    assert transactions(Source(path, "async def f(c):\n    async with c.begin():\n        pass"))
    assert transactions(Source(path, "async def f(tx):\n    await tx.connection.commit()"))
    assert transactions(Source(path, "x = text(\"SELECT set_config('app.org_id', :org, true)\")"))
    assert transactions(Source(path, "x = func.set_config('app.org_id', org, True)"))
    assert not transactions(Source("server/db/database.py", "async def f(c):\n    async with c.begin():\n        pass"))
