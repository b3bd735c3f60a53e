"""Which rows of a dataset teach a hidden behaviour, and what is the behaviour?"""

from cryptosentinel.sanitize.hypotheses import Hypothesis
from cryptosentinel.sanitize.scan import Scan, scan

__all__ = ["Hypothesis", "Scan", "scan"]
