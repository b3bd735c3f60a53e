"""Which watch does a ledger go on with, and is it the one that whoever starts it means?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from cryptosentinel.datasets.rows import no_readable_row
from cryptosentinel.errors import ConfigError
from cryptosentinel.ledger import Ledger
from cryptosentinel.monitor import Watch
from cryptosentinel.monitor.fingerprint import fingerprint
from cryptosentinel.services.monitor import Intake, learn_watch, read_plan
from cryptosentinel.services.monitor_ledger import LedgerWatch

LOG = logging.getLogger("cryptosentinel.monitor")


def begin_or_go_on(
    ledger: str | Path, name: str, baseline: Sequence[Path], config: Path | None, *, untrained: bool = False
) -> tuple[LedgerWatch, Intake]:
    """The ledger's watch of this name, begun with these files if there is none; and what was read of the baseline.

    A watch that is there goes on with what it was begun with. Files that are named must say the same, so that nobody
    believes in a budget or a baseline that is not looked at.

    Args:
        ledger: a file path or database URL.
        name: of the watch.
        baseline: events files of when all was well; none: a watch that is there goes on.
        config: the monitor's settings; None: those of the watch that is there, else the defaults.
        untrained: without a baseline a watch may begin, and learn each agent's first decisions.

    Raises:
        ConfigError: the watch was begun with another baseline or config; there is none and nothing to begin it with.
        LedgerError: the ledger cannot be read or written.
        DataError, MonitorError: the baseline cannot be read or learnt.
    """
    plan = read_plan(config)
    learnt: Intake | None = None

    def make() -> Watch:
        nonlocal learnt
        if baseline:
            watch, learnt = learn_watch(baseline, plan)
            return watch
        if not untrained:
            raise ConfigError(f"no watch {name!r} in this ledger: name a --baseline to begin it")
        learnt = Intake()
        return Watch(plan)

    kept = LedgerWatch(Ledger.open(ledger, create=untrained or bool(baseline)), name, make)
    if learnt is not None:
        return kept, learnt
    if config is not None and plan != kept.watch.plan:
        raise _another(name, "with another config", "--config")
    return kept, _same_baseline(kept, baseline) if baseline else Intake()


def _same_baseline(kept: LedgerWatch, baseline: Sequence[Path]) -> Intake:
    """What was read of the baseline that this watch has learnt.

    Raises:
        ConfigError: it has learnt another.
        DataError: no readable decision.
    """
    intake = Intake()
    given = fingerprint(intake.decisions_of(baseline, kept.watch.plan.kinds))
    if not intake.decisions:
        raise no_readable_row(baseline, intake.rejects)
    known = kept.watch.baseline
    if known is None:
        LOG.warning("watch %r has begun already: the baseline is not looked at", kept.name)
    elif known != given:
        raise _another(kept.name, "with another baseline" if known else "without a baseline", "--baseline")
    return intake


def _another(name: str, how: str, option: str) -> ConfigError:
    return ConfigError(
        f"watch {name!r} of this ledger was begun {how}: go on without {option}, or begin another watch (another "
        "--name, or another ledger)"
    )
