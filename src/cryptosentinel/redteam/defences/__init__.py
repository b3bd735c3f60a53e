"""What the red team's attacks are held against: one file each, registered under "defence"."""

from cryptosentinel.redteam.defences.clean_fine_tune import CleanFineTune
from cryptosentinel.redteam.defences.guard import Guarded, GuardedByScan
from cryptosentinel.redteam.defences.monitor import Monitored
from cryptosentinel.redteam.defences.pruning import Pruning
from cryptosentinel.redteam.defences.scan import Scanned
from cryptosentinel.redteam.defences.scan_trusted import ScannedAgainstTrusted

__all__ = ["CleanFineTune", "Guarded", "GuardedByScan", "Monitored", "Pruning", "Scanned", "ScannedAgainstTrusted"]
