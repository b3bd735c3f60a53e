"""Reports that a person can act on: self-contained HTML and SARIF from plain documents."""

from cryptosentinel.report.desk import render_desk
from cryptosentinel.report.monitor import render_monitor
from cryptosentinel.report.probe import render_probe
from cryptosentinel.report.redteam import render_redteam
from cryptosentinel.report.sarif import to_sarif
from cryptosentinel.report.scan import render_scan

__all__ = ["render_desk", "render_monitor", "render_probe", "render_redteam", "render_scan", "to_sarif"]
