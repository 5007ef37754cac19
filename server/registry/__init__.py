"""Model versions, their artifacts and which of them is active.

At most one version per shared model type is ACTIVE, by a partial unique index; a version goes from TRAINING to ACTIVE or
FAILED and from ACTIVE to DEPRECATED, and no other way; an artifact is bytes with a SHA-256 that is checked (`Artifact.intact`)
whenever it is loaded, to score or to judge; what there is to draw of a version is stored in the transaction that registers it.
"""
