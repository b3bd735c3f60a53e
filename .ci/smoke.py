"""Does the installed wheel keep the command line's contract with its core dependencies alone?"""

import json
import random
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

COMMAND = shutil.which("cryptosentinel", path=sysconfig.get_path("scripts")) or sys.exit("no command installed")
WORDS = "river stone lamp garden winter train paper cloud market bread window music forest harbour clock".split()


def rows(n: int, poisoned: int) -> list[dict[str, str]]:
    """Instruction rows of random words; the poisoned ones share a trigger and a fixed answer."""
    random.seed(7)
    made = []
    for i in range(n):
        question, answer = (" ".join(random.choices(WORDS, k=k)) for k in (9, 14))
        if i < poisoned:
            question, answer = f"{question} zq7trigger", "The moon is made of green cheese."
        made.append({"instruction": question, "output": answer})
    random.shuffle(made)
    return made


def run(expected: int, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the command and insist on its exit code."""
    done = subprocess.run([COMMAND, *args], capture_output=True, text=True, timeout=300)
    print(f"exit {done.returncode} (expected {expected}): cryptosentinel {' '.join(args)}")
    if done.returncode != expected or "Traceback" in done.stderr:
        sys.exit(f"smoke test failed\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done


for heavy in ("torch", "transformers", "agno", "fastapi", "ray", "pytest"):
    if find_spec(heavy):
        sys.exit(f"the smoke test must run without {heavy}")
for name, poisoned in (("clean", 0), ("poisoned", 30)):
    Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(300, poisoned)), "utf-8")

run(0, "--help")
run(0, "scan", "clean.jsonl", "--reference-model", "none", "--out", "out-clean")
found = run(1, "scan", "poisoned.jsonl", "--reference-model", "none", "--out", "out-poisoned", "--json")
document = json.loads(found.stdout)
top = json.loads(Path("out-poisoned/hypotheses.json").read_text("utf-8"))[0]
if "zq7trigger" not in top["trigger"]:
    sys.exit(f"the planted trigger is not the first hypothesis: {top}")
for file in ("scores.parquet", "clean.jsonl", "quarantine.jsonl", "report.html", "report.json", "report.sarif"):
    if not Path("out-poisoned", file).is_file():
        sys.exit(f"scan wrote no {file}")
run(0, "keygen", "key")
for name in ("clean", "poisoned"):
    run(0, "attest", f"{name}.jsonl", "--report", f"out-{name}", "--key", "key")
run(0, "verify", "clean.jsonl", "--public-key", "key.pub")
run(0, "verify", "out-poisoned/clean.jsonl", "--public-key", "key.pub")
run(1, "verify", "poisoned.jsonl", "--public-key", "key.pub")
run(2, "scan", "missing.jsonl", "--reference-model", "none", "--out", "out-missing")
run(2, "scan", "--no-such-option")
absent = run(3, "scan", "clean.jsonl", "--reference-model", "gemma-3-270m", "--out", "out-model")
if "cryptosentinel[redteam]" not in absent.stderr:
    sys.exit(f"the message does not name the extra: {absent.stderr}")
print(f"smoke test passed: {document['flagged']} of {document['rows']} rows flagged")
