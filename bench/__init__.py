"""Every speed claim as a ratio to a floor or a peer, measured in one run.

A peer is what somebody would write without this product, with its best known library; a floor is work
that nobody can avoid, such as copying the columns. Both run in the same process, turn and turn about,
and nothing is timed before their results agree. No claim is asserted on time.
"""
