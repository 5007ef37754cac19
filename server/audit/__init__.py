"""The audit log: one row per auditable act, written in the act's own transaction, append-only for role `app`."""
