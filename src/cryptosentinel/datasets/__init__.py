"""Training data in any usual format and form <-> `Record`."""

from cryptosentinel.datasets.forms import write_record
from cryptosentinel.datasets.rows import Reject, no_readable_row, read_rows, write_jsonl

__all__ = ["Reject", "no_readable_row", "read_rows", "write_jsonl", "write_record"]
