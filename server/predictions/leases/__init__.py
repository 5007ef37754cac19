"""What the holder of a lease does: acknowledge starts, renew, end, hand back; many jobs of many tenants in one statement.

What always holds: a change is made only to a job that still runs under the token of the lease, so whoever lost it changes
nothing. The role is `dispatch`, which may write a result and can read none.
"""
