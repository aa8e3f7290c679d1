"""Numbers from pseudonymous events: pure functions over columns, no identity, no database.

Everything is integer arithmetic at scale 2^20 with floor division, so that any engine, order of rows
or number of threads gives the same bytes. The as-of date is an argument; nothing reads a clock.
"""
