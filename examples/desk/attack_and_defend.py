"""The same attack on the desk twice: once with nothing in its way, once behind rules, guard and monitor.

python examples/desk/attack_and_defend.py injected-news
"""

from __future__ import annotations

import sys

from cryptosentinel.desk.run import run_desk


def main(attack: str = "injected-news") -> None:
    """Run both, and say what came of it."""
    for defences in ((), ("rules", "guard", "monitor")):
        seen = run_desk(days=3, seed=1, attack=attack, defences=defences)
        reached = "reached its goal" if seen["attack_goal_reached"] else "did not reach its goal"
        print(f"{attack}, {' + '.join(defences) or 'undefended'}: {reached}; seen by {seen['detected_by'] or 'nobody'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
