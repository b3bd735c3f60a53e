"""The detectors of changes, one file each, registered under "change-detector"."""

from cryptosentinel.monitor.detectors.base import BoundedMean, ChangeDetector, restored
from cryptosentinel.monitor.detectors.categories import Categories
from cryptosentinel.monitor.detectors.mean import Mean
from cryptosentinel.monitor.detectors.rate import Rate
from cryptosentinel.monitor.detectors.scores import Scores

__all__ = ["BoundedMean", "Categories", "ChangeDetector", "Mean", "Rate", "Scores", "restored"]
