"""Names of constraints, and the two kinds of table: a tenant's, and shared by all.

A tenant table starts with `org_id`, has it first in its primary key and in every unique and foreign key, and is put
under forced row-level security by its migration. A contract test reads `info["kind"]` and the catalogue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Column, MetaData, PrimaryKeyConstraint, Table, Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.schema import SchemaItem

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def tenant_table(name: str, *items: SchemaItem, key: Sequence[str] = ()) -> Table:
    """Declare a table of tenant rows; its primary key is `org_id` and then `key`."""
    org_id: Column[str] = Column("org_id", Text, nullable=False)
    return Table(name, metadata, org_id, *items, PrimaryKeyConstraint("org_id", *key), info={"kind": "tenant"})


def shared_table(name: str, *items: SchemaItem) -> Table:
    """Declare a table that belongs to no tenant; it must be on the reviewed list of such tables."""
    return Table(name, metadata, *items, info={"kind": "shared"})
