"""`analyticsctl`: a command line client of the public API.

Owns: the words a person types, reading their files, and showing answers. What always holds: everything goes through the
generated stubs with a credential, as any other client's call does; nothing of the service's core is imported.
"""
