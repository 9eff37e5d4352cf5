"""Examples of QD202, value-transparent-requant."""

from __future__ import annotations

from fuseguard_rules.examples.qdomain import graphs as examples

BAD = (*examples.DOMAIN_CHANGES, *examples.DTYPE_CHANGES)

GOOD = examples.DOMAIN_KEPT
