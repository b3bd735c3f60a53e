"""Has this agent's behaviour changed? Sequential detectors with a stated average run length to a false alarm.

Pure: state in, state out. Events, config files and the ledger come in through the service.
"""

from cryptosentinel.monitor.alarm import Alarm
from cryptosentinel.monitor.bank import Bank
from cryptosentinel.monitor.detectors import Categories, ChangeDetector, Mean, Rate, Scores, restored
from cryptosentinel.monitor.live import Live
from cryptosentinel.monitor.plan import Feature, Plan
from cryptosentinel.monitor.recent import Change
from cryptosentinel.monitor.streams import Stream
from cryptosentinel.monitor.watch import Watch

__all__ = [
    "Alarm",
    "Bank",
    "Categories",
    "Change",
    "ChangeDetector",
    "Feature",
    "Live",
    "Mean",
    "Plan",
    "Rate",
    "Scores",
    "Stream",
    "Watch",
    "restored",
]
