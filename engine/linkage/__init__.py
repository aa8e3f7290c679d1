"""The linkage lane: keyed words in, persons out. Clear values never come here.

A keyed word hides a value and not its frequency (linkage.md 3.6), so these tables are identifying
data and have a store and a key of their own.
"""
