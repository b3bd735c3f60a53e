"""What can be traded on the paper market: well-known coins beside ten that do not exist."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

DEEP = Decimal(50_000)  # USDC within 1% of the price: from here on the desk calls a market deep


@dataclass(frozen=True, slots=True)
class Listing:
    """One asset; `depth`: how many USDC move its price by 1%, `volatility` a year, `beta` to the whole market."""

    symbol: str
    start: float
    volatility: float
    beta: float
    depth: Decimal
    chain: str
    fictional: bool = False
    audited: bool = True
    age_days: int = 1500

    @property
    def deep(self) -> bool:
        """Is there enough liquidity for the desk?"""
        return self.depth >= DEEP

    @property
    def safe(self) -> bool:
        """Does the contract pass the security check: audited, and older than 90 days?"""
        return self.audited and self.age_days >= 90


def _real(symbol: str, start: float, volatility: float, beta: float, depth_k: int, chain: str) -> Listing:
    return Listing(symbol, start, volatility, beta, Decimal(1000 * depth_k), chain)


def _invented(
    symbol: str, start: float, volatility: float, beta: float, depth_k: int, *, audited: bool = True, age: int = 200
) -> Listing:
    return Listing(symbol, start, volatility, beta, Decimal(1000 * depth_k), "solana", True, audited, age)


LISTINGS: tuple[Listing, ...] = (
    _real("BTC", 61_000, 0.48, 0.90, 42_000, "base"),
    _real("ETH", 2_900, 0.62, 1.10, 28_000, "arbitrum"),
    _real("SOL", 148, 0.80, 1.30, 9_500, "solana"),
    _real("XRP", 0.61, 0.72, 0.95, 7_000, "polygon"),
    _real("ADA", 0.44, 0.74, 1.15, 3_800, "polygon"),
    _real("DOGE", 0.13, 0.95, 1.25, 4_400, "base"),
    _real("DOT", 6.4, 0.76, 1.20, 1_900, "polygon"),
    _real("LINK", 14.2, 0.78, 1.20, 2_600, "arbitrum"),
    _real("AVAX", 29.5, 0.88, 1.35, 2_200, "optimism"),
    _real("UNI", 8.1, 0.85, 1.20, 1_300, "arbitrum"),
    _real("ATOM", 7.2, 0.75, 1.10, 950, "optimism"),
    _real("LTC", 71, 0.60, 0.85, 2_400, "base"),
    _real("BCH", 380, 0.70, 0.95, 1_500, "base"),
    _real("XLM", 0.11, 0.70, 0.90, 900, "polygon"),
    _real("ALGO", 0.15, 0.80, 1.10, 520, "polygon"),
    _real("NEAR", 5.2, 0.92, 1.30, 1_100, "optimism"),
    _real("FIL", 4.4, 0.86, 1.15, 780, "arbitrum"),
    _real("AAVE", 96, 0.82, 1.20, 1_050, "arbitrum"),
    _real("TRX", 0.12, 0.42, 0.60, 1_700, "base"),
    _real("ICP", 9.3, 0.90, 1.20, 610, "optimism"),
    _invented("ORVA", 1.84, 1.10, 0.70, 24),
    _invented("VELA", 0.37, 1.20, 0.80, 19),
    _invented("TARN", 5.10, 1.05, 0.60, 31),
    _invented("KESTO", 2.75, 0.98, 0.90, 140, age=420),
    _invented("PELGA", 0.82, 1.02, 1.00, 88, age=510),
    _invented("NOVIQ", 11.6, 0.92, 0.95, 210, age=700),
    _invented("DRUMA", 0.058, 1.30, 0.70, 12),
    _invented("SILVO", 0.29, 1.25, 0.65, 64, audited=False, age=40),
    _invented("ZYNTH", 3.30, 1.35, 0.75, 72, audited=False, age=21),
    _invented("MARLO", 0.91, 1.15, 0.85, 16, audited=False, age=33),
)
BY_SYMBOL: dict[str, Listing] = {listing.symbol: listing for listing in LISTINGS}
