"""The database: one pool per role, the one helper that opens transactions, migrations.

What always holds here: a tenant's rows are only reachable inside a transaction that `Database.tx` or `Database.read`
opened for that tenant; the setting that row-level security reads is local to the transaction and gone when it ends.
"""

from server.db.clock import now
from server.db.database import Database
from server.db.naming import metadata, shared_table, tenant_table
from server.db.transaction import ReadTx, Tx

__all__ = ["Database", "ReadTx", "Tx", "metadata", "now", "shared_table", "tenant_table"]
