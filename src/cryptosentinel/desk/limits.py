"""How much may the desk risk? The operator's limits, as they stand in a document, and what they say of a trade."""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation

from cryptosentinel.errors import DataError

DOCUMENT = "limits.txt"


@dataclass(frozen=True, slots=True)
class Limits:
    """At most so large a share of the equity in one trade; no purchase after losing so large a share within a day.

    >>> Limits.parse(Limits().text()) == Limits()
    True
    """

    trade_share: Decimal = Decimal("0.02")
    daily_loss: Decimal = Decimal("0.05")
    position_share: Decimal = Decimal("0.20")

    def text(self) -> str:
        """As the document has it."""
        return "".join(f"{f.name} = {getattr(self, f.name)}\n" for f in fields(self))

    @classmethod
    def parse(cls, text: str) -> Limits:
        """Read the document; nothing may be missing, and nothing else may stand in it.

        Raises:
            DataError: a line that is no limit, one that is missing, or a share outside (0, 1].
        """
        found: dict[str, Decimal] = {}
        names = [f.name for f in fields(cls)]
        for line in filter(None, (raw.partition("#")[0].strip() for raw in text.splitlines())):
            name, equals, value = (part.strip() for part in line.partition("="))
            try:
                number = Decimal(value)
            except InvalidOperation:
                number = Decimal("NaN")
            if name not in names or not equals or name in found:
                raise DataError(f"{DOCUMENT}: {line[:60]!r} is no limit (each once: {', '.join(names)})")
            if not number.is_finite() or not 0 < number <= 1:
                raise DataError(f"{DOCUMENT}: {name} must lie in (0, 1], got {value[:40]!r}")
            found[name] = number
        if missing := [n for n in names if n not in found]:
            raise DataError(f"{DOCUMENT}: {missing[0]} is missing")
        return cls(**found)

    def against(
        self, *, value: Decimal, equity: Decimal, day_start: Decimal, held: Decimal, purchase: bool
    ) -> list[str]:
        """What speaks against this trade? Empty: nothing. All in USDC; `held` is what is held of the symbol already.

        >>> Limits().against(value=Decimal(300), equity=Decimal(10_000), day_start=Decimal(10_000), held=Decimal(0),
        ...                  purchase=True)
        ['300.00 USDC are 3.00% of the equity, at most 2.00% may be traded at once']
        """
        if not purchase:
            return []  # a loss must never keep the desk from selling
        reasons = []
        if value > self.trade_share * equity:
            reasons.append(
                f"{value:.2f} USDC are {value / equity:.2%} of the equity, at most {self.trade_share:.2%} may be "
                "traded at once"
            )
        if held + value > self.position_share * equity:
            reasons.append(
                f"{held + value:.2f} USDC would be held, at most {self.position_share:.2%} of the equity may be in one "
                "asset"
            )
        if equity < day_start * (1 - self.daily_loss):
            reasons.append(f"{1 - equity / day_start:.2%} were lost today, no purchase beyond {self.daily_loss:.2%}")
        return reasons
