"""`analyticsctl report`: one page that stands alone, and a picture beside it.

What always holds: the page loads nothing and runs nothing, by its own content security policy; every text of a server, a file or a
person is escaped where it enters the page, because a plain `str` always is; nothing is written before all of it is made.
"""
