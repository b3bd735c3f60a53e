"""The one front of the run-time defences: an event in, what may be done with it out. Knows no framework.

    observer = Observer(RuleBook.load(Path("rules.ags")), Guard(), ledger=Ledger.open("ledger.db"),
                        inspector=TerminalInspector())
    ruling = observer.observe(event)             # a Verdict, with what to tell the agent
    if not ruling.goes_through: ...              # the call must not happen

`docs/observer.md` says what an adapter for a framework has to do.
"""

from cryptosentinel.observer.observer import Observer
from cryptosentinel.observer.ruling import CONSEQUENTIAL, POLICY, Ruling

__all__ = ["CONSEQUENTIAL", "POLICY", "Observer", "Ruling"]
