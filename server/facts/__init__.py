"""Facts of an organization, from which features, metrics and insights are made.

Subjects are pseudonyms, names are never stored. A fact has a natural key, so loading it again changes nothing. Protected
attributes are no facts of this kind: no column here holds one.
"""
