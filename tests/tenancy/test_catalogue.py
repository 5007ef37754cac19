"""Guarantee 9: what the catalogue says of tables, keys, roles, grants, policies and functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from tests.contract import grants
from tests.support.catalogue import faults

if TYPE_CHECKING:
    from tests.support.catalogue import Finding
    from tests.support.databases import Cluster

BREAKS = {
    "row-level security switched off": "ALTER TABLE employees DISABLE ROW LEVEL SECURITY",
    "row-level security not forced": "ALTER TABLE employees NO FORCE ROW LEVEL SECURITY",
    "a policy dropped": "DROP POLICY tenant ON audit_entries",
    "a policy widened": "ALTER POLICY tenant ON employees USING (true)",
    "a policy without a write check": "ALTER POLICY tenant ON employees WITH CHECK (true)",
    "a policy for everybody": "CREATE POLICY everybody ON employees FOR SELECT TO PUBLIC USING (true)",
    "a grant too many": "GRANT DELETE ON audit_entries TO app",
    "a column too many": "GRANT SELECT (result) ON prediction_jobs TO dispatch",
    "a grant to everybody": "GRANT SELECT ON employees TO PUBLIC",
    "a unique key without org_id": "CREATE UNIQUE INDEX broken ON prediction_jobs (job_id)",
    "a primary key without org_id": "ALTER TABLE tenant_switches DROP CONSTRAINT pk_tenant_switches, ADD PRIMARY KEY (revision)",
    "a foreign key without org_id": "ALTER TABLE employees ADD COLUMN m uuid REFERENCES shared_models",
    "a new table without a guard": "CREATE TABLE fresh (org_id text PRIMARY KEY)",
    "a role that owns a table": "CREATE TABLE alembic_version2 (x int); ALTER TABLE alembic_version2 OWNER TO app",
    "a partition that can be read": (
        "CREATE TABLE parts (org_id text NOT NULL) PARTITION BY LIST (org_id);"
        "CREATE TABLE part_a PARTITION OF parts FOR VALUES IN ('a'); GRANT SELECT ON part_a TO app"
    ),
}

ONE = "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'; "
FUNCTION_BREAKS = {
    "a function that nobody reviewed": ("one()", ONE),
    "a definer's function without search_path": (
        "prediction_room(text,bigint,bigint,bigint)",
        "ALTER FUNCTION prediction_room SECURITY DEFINER",
    ),
    "a definer's function open to PUBLIC": ("one()", ONE + "ALTER FUNCTION one SECURITY DEFINER SET search_path = pg_catalog"),
    "a function given to PUBLIC": (
        "prediction_room(text,bigint,bigint,bigint)",
        "GRANT EXECUTE ON FUNCTION prediction_room TO PUBLIC",
    ),
    "a function given to another role": (
        "prediction_room(text,bigint,bigint,bigint)",
        "GRANT EXECUTE ON FUNCTION prediction_room TO trainer",
    ),
    "a function taken from its role": (
        "prediction_room(text,bigint,bigint,bigint)",
        "REVOKE EXECUTE ON FUNCTION prediction_room FROM app",
    ),
    "a function of another owner": ("analytics_now()", "ALTER FUNCTION analytics_now OWNER TO app"),
    "a function with another search_path": ("analytics_now()", "ALTER FUNCTION analytics_now SET search_path = pg_temp, public"),
    "a function that is gone": ("prediction_room(text,bigint,bigint,bigint)", "DROP FUNCTION prediction_room"),
}
DEFINERS = {
    "without search_path": ("is SECURITY DEFINER without a search_path", "SECURITY DEFINER"),
    "open to PUBLIC": ("is SECURITY DEFINER and open to PUBLIC", "SECURITY DEFINER SET search_path = pg_catalog"),
}


async def look(cluster: Cluster, database: str, break_with: str = "") -> list[Finding]:
    """Return the faults of a database, after breaking it; as superuser, so that anything can be broken."""
    connection = await asyncpg.connect(cluster.postgres.admin_url, database=database)
    try:
        if break_with:
            await connection.execute(break_with)
        return await faults(
            connection,
            shared=grants.SHARED_TABLES,
            shared_references=grants.SHARED_REFERENCES,
            grants=grants.GRANTS,
            policies=grants.POLICIES,
            functions=grants.FUNCTIONS,
        )
    finally:
        await connection.close()


async def test_guarantee_09_tables_keys_roles_grants_and_policies_are_the_reviewed_ones(cluster: Cluster, database: str) -> None:
    assert await look(cluster, database) == []


@pytest.mark.parametrize("statement", BREAKS.values(), ids=BREAKS.keys())
async def test_guarantee_09_control_a_broken_guard_is_found(cluster: Cluster, database: str, statement: str) -> None:
    assert await look(cluster, database, statement)


@pytest.mark.parametrize(("function", "statement"), FUNCTION_BREAKS.values(), ids=FUNCTION_BREAKS.keys())
async def test_guarantee_09_control_a_function_that_is_not_as_reviewed_is_found(
    cluster: Cluster, database: str, function: str, statement: str
) -> None:
    assert function in {finding.table for finding in await look(cluster, database, statement)}


@pytest.mark.parametrize(("fault", "clauses"), DEFINERS.values(), ids=DEFINERS.keys())
async def test_guarantee_09_control_an_unsafe_definers_function_is_found_even_if_it_were_on_the_list(
    cluster: Cluster, database: str, fault: str, clauses: str
) -> None:
    found = await look(cluster, database, f"{ONE} ALTER FUNCTION one {clauses}")
    assert ("one()", fault) in {(finding.table, finding.fault) for finding in found}


@pytest.mark.parametrize("attribute", ["SUPERUSER", "BYPASSRLS", "CREATEROLE"])
async def test_guarantee_09_control_a_mighty_role_is_found(cluster: Cluster, database: str, attribute: str) -> None:
    connection = await asyncpg.connect(cluster.postgres.admin_url)
    try:
        await connection.execute(f"ALTER ROLE trainer {attribute}")
        assert await look(cluster, database)
    finally:
        await connection.execute(f"ALTER ROLE trainer NO{attribute}")
        await connection.close()
