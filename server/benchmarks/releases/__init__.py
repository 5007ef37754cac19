"""Releases: who counted in which, under tags, which cells showed figures, and what their privacy has cost.

What always holds: releases are numbered without gaps, so that one that was decided without knowing of the last is refused;
role `benchmark` alone comes here.
"""
