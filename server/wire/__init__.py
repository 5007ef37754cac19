"""Between the domain's dataclasses and the contract's messages; no decisions, no I/O."""
