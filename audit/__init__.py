"""An append-only Merkle log of every decision and disclosure, and a verifier for strangers.

The log knows strings and numbers only: no name, no role model, no database of fieldgate. It imports
nothing else of ours, so that a partner can read and run it alone. Formats follow RFC 6962/9162 and
the C2SP documents signed-note, tlog-checkpoint and tlog-proof.

Tamper evidence is not tamper proof: whoever holds the log key and the database can rebuild both. A
checkpoint kept somewhere else, or a witness, is what exposes that.
"""
