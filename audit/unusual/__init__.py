"""Unusual access: which looks at people are worth a look by an officer, as rules over plain rows.

Nothing here knows a name, a key or a database. Rows come with keyed tokens of whoever holds the vault,
and with what the house knows that explains a look; what comes out are items with the signs that hold.
The literature behind it: explanation first (PMC3555324), then signatures, then volume
(PMC3128412, PMC3243249).
"""

from audit.unusual.rates import Counted, Rate, rates
from audit.unusual.rows import Act, Look, Subject, User
from audit.unusual.signs import Found, judge
from audit.unusual.table import Sign, Weights, load_weights, shipped

__all__ = [
    "Act",
    "Counted",
    "Found",
    "Look",
    "Rate",
    "Sign",
    "Subject",
    "User",
    "Weights",
    "judge",
    "load_weights",
    "rates",
    "shipped",
]
