"""Who may see which field, for which purpose, at which level.

The pack (YAML that IG owns) joins the register of law to sources, roles and purposes. `admit` decides
what may enter, `authorise` decides what may be seen; both are pure functions of the pack, a date and
the facts that trusted tables hold.
"""

from policies.admit import admit
from policies.authorise import authorise

__all__ = ["admit", "authorise"]
