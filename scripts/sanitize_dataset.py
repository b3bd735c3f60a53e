"""Scan a dataset before it is trained on: `cryptosentinel scan`, for pipelines that call a script.

    python scripts/sanitize_dataset.py train.jsonl --out report [any option of the command]

Exit codes are the command's: 0 nothing found, 1 something found, 2 no readable input, 3 the scan could not run.
"""

import sys

from cryptosentinel.cli import main

if __name__ == "__main__":
    main(["scan", *sys.argv[1:]])
