"""What the database says of its own tables, roles, grants, policies and functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncpg

ROLES = ("app", "dispatch", "trainer", "benchmark", "relay")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the catalogue should not say."""

    table: str
    fault: str


async def faults(  # noqa: PLR0913 - one argument per reviewed list
    connection: asyncpg.Connection,
    *,
    shared: frozenset[str],
    shared_references: frozenset[tuple[str, str]],
    grants: frozenset[tuple[str, str, str, tuple[str, ...]]],
    policies: frozenset[tuple[str, str, str, str, str]],
    functions: frozenset[tuple[str, str, bool, str, tuple[str, ...]]],
) -> list[Finding]:
    """Return everything in which the catalogue differs from what must hold and from the reviewed lists."""
    return [
        *await _unguarded(connection, shared),
        *await _keys(connection, shared, shared_references),
        *await _roles(connection),
        *_difference("grant", grants, await _grants(connection)),
        *_difference("policy", policies, await _policies(connection)),
        *_difference("function", functions, actual := await _functions(connection)),
        *_unsafe(actual),
        *await _partitions(connection),
    ]


async def _unguarded(connection: asyncpg.Connection, shared: frozenset[str]) -> list[Finding]:
    rows = await connection.fetch(
        """
        SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity AS forced
        FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
        """
    )
    return [
        Finding(row["relname"], "row-level security is not forced") for row in rows if row["relname"] not in shared and not row["forced"]
    ]


async def _keys(connection: asyncpg.Connection, shared: frozenset[str], references: frozenset[tuple[str, str]]) -> list[Finding]:
    constraints = await connection.fetch(
        """
        SELECT t.relname AS name, c.contype, f.relname AS target,
               (SELECT attname FROM pg_attribute a WHERE a.attrelid = c.conrelid AND a.attnum = c.conkey[1]) AS first
        FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid LEFT JOIN pg_class f ON f.oid = c.confrelid
        WHERE c.connamespace = 'public'::regnamespace AND c.contype IN ('p', 'u', 'f')
        """
    )
    indexes = await connection.fetch(
        """
        SELECT t.relname AS name, a.attname AS first FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
        JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = i.indkey[0]
        WHERE i.indisunique AND t.relnamespace = 'public'::regnamespace
        """
    )
    found = [
        Finding(row["name"], f"{row['contype'].decode()} constraint does not start with org_id")
        for row in constraints
        if row["name"] not in shared and row["first"] != "org_id" and (row["name"], row["target"]) not in references
    ]
    return found + [
        Finding(row["name"], "unique index does not start with org_id")
        for row in indexes
        if row["name"] not in shared and row["first"] != "org_id"
    ]


async def _roles(connection: asyncpg.Connection) -> list[Finding]:
    rows = await connection.fetch(
        """
        SELECT r.rolname, r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication AS mighty,
               EXISTS (SELECT 1 FROM pg_class c WHERE c.relowner = r.oid) AS owner,
               EXISTS (SELECT 1 FROM pg_auth_members m WHERE m.member = r.oid) AS member
        FROM pg_roles r WHERE r.rolname = ANY ($1)
        """,
        list(ROLES),
    )
    found = [
        Finding(row["rolname"], "is superuser, owner or member of another role")
        for row in rows
        if row["mighty"] or row["owner"] or row["member"]
    ]
    public = await connection.fetch(
        "SELECT table_name FROM information_schema.role_table_grants WHERE grantee = 'PUBLIC' AND table_schema = 'public'"
    )
    return found + [Finding(row["table_name"], "grants something to PUBLIC") for row in public]


async def _grants(connection: asyncpg.Connection) -> frozenset[tuple[str, str, str, tuple[str, ...]]]:
    whole = await connection.fetch(
        """
        SELECT grantee, table_name, privilege_type FROM information_schema.role_table_grants
        WHERE table_schema = 'public' AND grantee = ANY ($1)
        """,
        list(ROLES),
    )
    made = {(row["grantee"], row["table_name"], row["privilege_type"], ("*",)) for row in whole}
    columns = await connection.fetch(
        """
        SELECT grantee, table_name, privilege_type, array_agg(column_name::text ORDER BY column_name::text COLLATE "C") AS columns
        FROM information_schema.role_column_grants WHERE table_schema = 'public' AND grantee = ANY ($1)
        GROUP BY grantee, table_name, privilege_type
        """,
        list(ROLES),
    )
    for row in columns:
        if (row["grantee"], row["table_name"], row["privilege_type"], ("*",)) not in made:
            made.add((row["grantee"], row["table_name"], row["privilege_type"], tuple(row["columns"])))
    return frozenset(made)


async def _policies(connection: asyncpg.Connection) -> frozenset[tuple[str, str, str, str, str]]:
    rows = await connection.fetch(
        "SELECT tablename, policyname, roles[1] AS role, cardinality(roles) AS roles, cmd, qual, with_check FROM pg_policies"
        " WHERE schemaname = 'public'"
    )
    return frozenset(
        (
            row["tablename"],
            row["policyname"],
            row["role"] if row["roles"] == 1 and row["cmd"] == "ALL" else "?",
            row["qual"] or "",
            row["with_check"] or "",
        )
        for row in rows
    )


async def _functions(connection: asyncpg.Connection) -> frozenset[tuple[str, str, bool, str, tuple[str, ...]]]:
    """Return every function of our schema; without an ACL of its own one may be executed by PUBLIC, as `acldefault` says."""
    rows = await connection.fetch(
        """
        SELECT p.oid::regprocedure::text AS name, pg_get_userbyid(p.proowner) AS owner, p.prosecdef AS definer,
               coalesce((SELECT split_part(s, '=', 2) FROM unnest(p.proconfig) s WHERE s LIKE 'search_path=%'), '') AS path,
               (SELECT array_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END)
                FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.privilege_type = 'EXECUTE') AS callers
        FROM pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace
              AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
        """
    )
    return frozenset((row["name"], row["owner"], row["definer"], row["path"], tuple(sorted(row["callers"] or ()))) for row in rows)


def _unsafe(functions: frozenset[tuple[str, str, bool, str, tuple[str, ...]]]) -> list[Finding]:
    """Return what no review may let pass: who calls such a function chooses what its names mean, or is anybody."""
    definers = [function for function in functions if function[2]]
    return [
        *(Finding(name, "is SECURITY DEFINER without a search_path") for name, _, _, path, _ in definers if not path),
        *(Finding(name, "is SECURITY DEFINER and open to PUBLIC") for name, *_, callers in definers if "PUBLIC" in callers),
    ]


async def _partitions(connection: asyncpg.Connection) -> list[Finding]:
    rows = await connection.fetch(
        """
        SELECT DISTINCT g.table_name FROM information_schema.role_table_grants g
        JOIN pg_class c ON c.relname = g.table_name AND c.relispartition WHERE g.grantee = ANY ($1)
        """,
        list(ROLES),
    )
    return [Finding(row["table_name"], "a partition has grants of its own") for row in rows]


def _difference(kind: str, reviewed: frozenset[tuple[object, ...]], actual: frozenset[tuple[object, ...]]) -> list[Finding]:
    return [
        *(
            Finding(str(item[1] if kind == "grant" else item[0]), f"{kind} is not on the reviewed list: {item}")
            for item in actual - reviewed
        ),
        *(Finding(str(item[1] if kind == "grant" else item[0]), f"{kind} is missing: {item}") for item in reviewed - actual),
    ]
