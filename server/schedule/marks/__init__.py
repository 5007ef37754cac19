"""What a run has done for each organization, so that a run that is taken again goes on where it stopped.

A mark is written once per run and organization, and only while the run's lease is held. Where a job writes it in the
organization's own transaction, first of all, its effect and the mark commit together or not at all. Marks hold ids of
organizations and fixed words, no data of tenants.
"""
