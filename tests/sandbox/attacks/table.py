"""Every attack, in one table."""

from .bombs import BOMBS
from .cpp import CPP
from .escapes import ESCAPES
from .forges import FORGES
from .leftovers import LEFTOVERS
from .texts import TEXTS
from .tricks import TRICKS

ATTACKS = [*TRICKS, *FORGES, *TEXTS, *BOMBS, *ESCAPES, *LEFTOVERS]
COMPILED = CPP
