"""The predicates that come with the package, one file each; importing this registers them.

A predicate is a factory: typed parameters in, a test out. The test takes a `Context` and answers True or False; what
it cannot decide it raises. A test with a memory is an object with `observe(context)`, which is shown every event that
triggers its rule before any condition is judged, and `forget(run_id)`.
"""

from cryptosentinel.agentspec.predicates import (
    drift,
    dual_approval,
    is_buy_contract,
    is_large_trade,
    low_liquidity,
    new_counterparty,
    present,
    structuring,
    unverified_token,
)

__all__ = [
    "drift",
    "dual_approval",
    "is_buy_contract",
    "is_large_trade",
    "low_liquidity",
    "new_counterparty",
    "present",
    "structuring",
    "unverified_token",
]
