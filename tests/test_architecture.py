"""The house keeps its shape: who may import whom, how big a room may grow, and what is not written here at all.

The layers are read from docs/architecture.md, so that the page stays true. Each check is a function of a root folder
that answers with complaints; the second half of this file shows that each one can complain.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("app", "extensions", "tools", "webui.py")
OWNERS = {
    "gradio": ("app.ui", "app.serve"),
    "fastapi": ("app.api", "app.serve"),
    "starlette": ("app.api", "app.serve"),
    "uvicorn": ("app.api", "app.serve"),
    "torch": ("app.engine",),
    "diffusers": ("app.engine",),
    "transformers": ("app.engine",),
    "safetensors": ("app.engine",),
    "sqlite3": ("app.jobs", "app.library"),
    "threading": ("app.jobs", "app.engine.checkpoints.leases"),
}
"""Library -> who may import it. Anybody may take Lock and RLock from `threading`, for a cache."""
TABLES: frozenset[str] = frozenset()
"""Files that are a table of rows, which may be 400 lines long instead of 300."""
BORDERS = {
    "app/decode.py": "opens files of strangers, on which Pillow raises whatever it raises",
    "app/extensions.py": "calls code of strangers",
    "app/jobs/worker.py": "a job that fails must not take the worker along",
    "app/api/guard.py": "a bug behind a route becomes an answer",
    "app/api/opening.py": "the application is built while the port already answers",
    "app/serve.py": "the tunnel is a foreign service",
    "app/engine/checkpoints/build.py": "a checkpoint of a stranger",
    "app/engine/upscalers_load.py": "an upscaler of a stranger",
    "app/ui/build.py": "draws the tab of an extension",
    "app/ui/handler.py": "a bug behind a button becomes a toast",
    "app/library/read.py": "opens files of strangers, on which Pillow raises whatever it raises",
}
"""Files where a broad `except` may stand, and why."""
FOREIGN = re.compile(r"https?://(?!127\.0\.0\.1|localhost|www\.w3\.org/|\{)[\w.-]+\.\w+|(?<![\w.])//[a-z0-9-]+(\.[a-z0-9-]+)+/", re.IGNORECASE)
MACHINE = re.compile(r"(?<![\w.:/}])/(root|home|work|tmp|opt|mnt|Users)/\w")


# ---- reading


def files(root: Path, *suffixes: str) -> list[Path]:
    """All files of the sources with one of the suffixes, without what tools leave behind."""
    found = [path for source in SOURCES for path in ([root / source] if (root / source).is_file() else (root / source).rglob("*"))]
    return sorted(path for path in found if path.suffix in suffixes and "__pycache__" not in path.parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def at(root: Path, path: Path, node: ast.AST | None = None) -> str:
    return path.relative_to(root).as_posix() + (f":{getattr(node, 'lineno', 0)}" if node else "")


def module(root: Path, path: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def imports(root: Path, path: Path) -> Iterator[tuple[ast.AST, str]]:
    """Everything that a file imports, in full; `from app import x` is `app.x` where that is a module."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node, item.name) for item in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found = set()
            for item in node.names:
                inner = root.joinpath(*str(node.module).split("."), item.name)
                is_module = inner.is_dir() or inner.with_suffix(".py").is_file()
                found.add(f"{node.module}.{item.name}" if is_module else str(node.module))
            yield from ((node, name) for name in sorted(found))


def below(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@cache
def layers(root: Path) -> list[list[str]]:
    """The rows of the layer table in docs/architecture.md, from the top; rooms that do not know each other end in "|"."""
    block = (root / "docs/architecture.md").read_text(encoding="utf-8").split("```")[1]
    rows = []
    for line in block.strip().splitlines():
        line = re.sub(r"\(.*\)", "", line)
        rows.append([name.strip() + ("|" if "|" in line else "") for name in re.split(r"[,|]", line)])
    return rows


def room(root: Path, name: str) -> tuple[int, str] | None:
    """(row from the top, entry) of the layer table that a module belongs to."""
    found = [(len(entry), row, entry) for row, entries in enumerate(layers(root)) for entry in entries if below(name, entry.rstrip("|"))]
    return max(found)[1:] if found else None


# ---- the checks


def check_layers(root: Path) -> list[str]:
    """Every module of ours is in the table, and imports only from its own row or below."""
    complaints = []
    for path in files(root, ".py"):
        name = module(root, path)
        if name == "app" or not (below(name, "app") or name == "webui"):
            continue
        own = room(root, name)
        if own is None:
            complaints.append(f"{at(root, path)} is in no layer of docs/architecture.md")
            continue
        for node, target in imports(root, path):
            if target == "app" or not below(target, "app"):
                continue
            other = room(root, target)
            strangers = other and other[0] == own[0] and other != own and other[1].endswith("|")
            if other is None or other[0] < own[0] or strangers:
                complaints.append(f"{at(root, path, node)}: {name} must not import {target}")
    return complaints


def check_owners(root: Path) -> list[str]:
    complaints = []
    for path in files(root, ".py"):
        name = module(root, path)
        if not (below(name, "app") or name == "webui"):
            continue
        for node, target in imports(root, path):
            library = target.split(".")[0]
            if library not in OWNERS or any(below(name, owner) for owner in OWNERS[library]):
                continue
            if library != "threading" or not used_of(path, "threading") <= {"Lock", "RLock"}:
                complaints.append(f"{at(root, path, node)}: only {' and '.join(OWNERS[library])} may import {library}")
    return complaints


def used_of(path: Path, library: str) -> set[str]:
    """What a file takes from a library: `from library import x` and `library.x`."""
    nodes = list(ast.walk(tree(path)))
    named = {item.name for node in nodes if isinstance(node, ast.ImportFrom) and node.module == library for item in node.names}
    return named | {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == library}


def check_budgets(root: Path) -> list[str]:
    complaints = []
    for path in files(root, ".py"):
        lines, allowed = len(path.read_text(encoding="utf-8").splitlines()), 400 if at(root, path) in TABLES else 300
        if lines > allowed:
            complaints.append(f"{at(root, path)} has {lines} lines, more than {allowed}")
        if path.stem in ("utils", "util", "helpers", "common", "misc"):
            complaints.append(f"{at(root, path)}: a name that says nothing")
        for node in ast.walk(tree(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = (node.end_lineno or 0) - node.lineno + 1
                parameters = [item.arg for item in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs) if item.arg not in ("self", "cls")]
                if length > 50:
                    complaints.append(f"{at(root, path, node)}: {node.name} has {length} lines, more than 50")
                if len(parameters) > 9:
                    complaints.append(f"{at(root, path, node)}: {node.name} has {len(parameters)} parameters, more than 9")
    return complaints


def check_words(root: Path) -> list[str]:
    """No global, print, relative import, eval, exec, pickle, or torch.load without weights_only."""
    complaints = []
    for path in files(root, ".py"):
        for node in ast.walk(tree(path)):
            what = ""
            if isinstance(node, ast.Global):
                what = "global"
            elif isinstance(node, ast.ImportFrom) and node.level:
                what = "a relative import"
            elif isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in ("print", "eval", "exec", "compile", "__import__") or called.split(".")[0] in ("pickle", "dill", "marshal", "joblib"):
                    what = called
                elif called == "torch.load" and not any(item.arg == "weights_only" and getattr(item.value, "value", 0) is True for item in node.keywords):
                    what = "torch.load without weights_only=True"
            if what:
                complaints.append(f"{at(root, path, node)}: {what} is not used here")
    return complaints


def check_excepts(root: Path) -> list[str]:
    """`except Exception` and wider stands only at the named borders."""
    complaints = []
    for path in files(root, ".py"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ExceptHandler) and at(root, path) not in BORDERS:
                kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
                if any(kind is None or ast.unparse(kind) in ("Exception", "BaseException") for kind in kinds):
                    complaints.append(f"{at(root, path, node)}: a broad except; BORDERS names where it may stand")
    return complaints


def check_places(root: Path) -> list[str]:
    """No path of one machine, and no address of somebody else's host, in anything that runs or is served."""
    complaints = []
    for path in files(root, ".py"):
        docstrings = {id(node.value) for node in ast.walk(tree(path)) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                for pattern in (FOREIGN, MACHINE):
                    if match := pattern.search(node.value):
                        complaints.append(f"{at(root, path, node)}: {match[0]}")
    for path in files(root, ".js", ".css", ".html", ".svg"):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if match := FOREIGN.search(line):
                complaints.append(f"{at(root, path)}:{number}: {match[0]}")
    return complaints


CHECKS = [check_layers, check_owners, check_budgets, check_words, check_excepts, check_places]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_house_keeps_its_shape(check: Callable[[Path], list[str]]) -> None:
    assert check(ROOT) == []


def test_the_borders_and_tables_that_are_named_exist() -> None:
    assert [name for name in (*BORDERS, *TABLES) if not (ROOT / name).is_file()] == []
    assert [entry for row in layers(ROOT) for entry in row if not list(ROOT.glob(entry.rstrip("|").replace(".", "/") + "*"))] == []


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    light = [module(ROOT, path) for path in files(ROOT, ".py") if module(ROOT, path).startswith("app.")]
    light = [name for name in light if not any(below(name, heavy) for heavy in ("app.engine", "app.ui", "app.serve", "app.api", "app.__main__"))]
    heavy = ("torch", "diffusers", "transformers", "gradio", "fastapi", "safetensors")
    light += ["app.engine.samplers", "app.engine.schedules", "app.engine.checkpoints.find", "app.engine.checkpoints.header"]
    code = f"import sys, {', '.join(light)}"
    code += f"; sys.stdout.write(' '.join(name for name in {heavy} if name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout == ""


# ---- each check can complain


LAYERS = "# A\n```\nwebui, app.cli\napp.studio\napp.engine | app.jobs   (do not know each other)\napp.request\n```\n"
BROKEN = {
    "upward import": (check_layers, "app/request.py", "from app.studio import Studio", "app.request must not import app.studio"),
    "upward import of a module": (check_layers, "app/engine/loop.py", "from app import studio", "app.engine.loop must not import app.studio"),
    "neighbours": (check_layers, "app/engine/loop.py", "import app.jobs.queue", "app.engine.loop must not import app.jobs.queue"),
    "import inside a function": (check_layers, "app/request.py", "def f():\n    import app.cli", "app.request must not import app.cli"),
    "not in a layer": (check_layers, "app/attic.py", "", "app/attic.py is in no layer"),
    "not the owner": (check_owners, "app/studio.py", "from torch import nn", "only app.engine may import torch"),
    "threads": (check_owners, "app/engine/x.py", "from threading import Thread, Lock", "only app.jobs and app.engine.checkpoints.leases may import threading"),
    "more threads": (
        check_owners,
        "app/engine/x.py",
        "import threading\nlock = threading.Lock()\nthreading.Thread()",
        "only app.jobs and app.engine.checkpoints.leases may import threading",
    ),
    "long file": (check_budgets, "app/request.py", "x = 1\n" * 301, "has 301 lines"),
    "long function": (check_budgets, "app/request.py", "def f():\n" + "    x = 1\n" * 50, "f has 51 lines"),
    "many parameters": (check_budgets, "app/request.py", "def f(a, b, c, d, e, f, g, h, i, *, j): ...", "f has 10 parameters"),
    "empty name": (check_budgets, "app/engine/utils.py", "", "says nothing"),
    "global": (check_words, "app/request.py", "def f():\n    global x\n    x = 1", "global is not used"),
    "print": (check_words, "extensions/hello/__init__.py", "print(1)", "print is not used"),
    "relative": (check_words, "app/request.py", "from . import errors", "a relative import is not used"),
    "eval": (check_words, "app/request.py", "eval('1')", "eval is not used"),
    "pickle": (check_words, "app/engine/x.py", "pickle.load(file)", "pickle.load is not used"),
    "torch.load": (check_words, "app/engine/x.py", "torch.load(file, weights_only=False)", "torch.load without"),
    "bare except": (check_excepts, "app/request.py", "try: f()\nexcept: pass", "a broad except"),
    "broad except": (check_excepts, "app/request.py", "try: f()\nexcept (OSError, Exception): pass", "a broad except"),
    "machine path": (check_places, "app/request.py", "x = '/home/ann/models'", "/home/a"),
    "foreign host": (check_places, "app/request.py", "x = f'{y} https://example.com/font.css'", "https://example.com"),
    "foreign host in a style": (check_places, "app/ui/style.css", "@import url(//fonts.example.com/x.css)", "//fonts.example.com/"),
}


@pytest.mark.parametrize(("check", "path", "text", "complaint"), BROKEN.values(), ids=BROKEN)
def test_each_check_can_complain(tmp_path: Path, check: Callable[[Path], list[str]], path: str, text: str, complaint: str) -> None:
    for name in ("app/studio.py", "app/request.py", "app/cli.py", "app/jobs/queue.py", "app/engine/loop.py", path):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("", encoding="utf-8")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/architecture.md").write_text(LAYERS, encoding="utf-8")
    (tmp_path / path).write_text(text, encoding="utf-8")
    [found] = check(tmp_path)
    assert complaint in found


def test_what_is_allowed_is_not_complained_about(tmp_path: Path) -> None:
    allowed = {
        "app/engine/loop.py": "import torch\nfrom app import request\nfrom app.request import X\nx = torch.load(f, weights_only=True)",
        "app/jobs.py": "import threading\nthreading.Thread()",
        "app/engine/cache.py": "import threading\nlock = threading.RLock()",
        "app/request.py": "from threading import Lock\n'''See https://example.com/paper'''\nx = 'http://127.0.0.1:7860/'\ntry: f()\nexcept OSError: pass",
        "webui.py": "from app.studio import Studio",
    }
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/architecture.md").write_text(LAYERS, encoding="utf-8")
    for name, text in allowed.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert [complaint for check in CHECKS for complaint in check(tmp_path)] == []
