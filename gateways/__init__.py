"""Which law lets which body give which category to which body, for what, on this date.

This package knows statutes, bodies, agreements and conditions. It knows no role, no user and no
person, and it imports nothing else of fieldgate. Every answer is a pure function of the register,
an agreement, the flow that is asked about and a date.
"""
