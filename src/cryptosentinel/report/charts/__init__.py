"""The charts of the reports: one file each, registered under "chart", all inline SVG."""

from cryptosentinel.report.charts.curves import curves
from cryptosentinel.report.charts.durations import durations
from cryptosentinel.report.charts.evidence import evidence
from cryptosentinel.report.charts.heatmap import heatmap
from cryptosentinel.report.charts.histogram import histogram
from cryptosentinel.report.charts.intervals import intervals

__all__ = ["curves", "durations", "evidence", "heatmap", "histogram", "intervals"]
