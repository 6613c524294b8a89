"""Imports point one way, `function_app, cli → app → clients → core → model`, and the core is pure."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HOSTS = ("function_app", "shared.cli", "shared.__main__", "shared.rules.__main__")
"""What is started: it may know the clock, the environment and files, and calls the use cases."""
MODEL = ("shared.model", "shared.access", "shared.scope")
RECORDS = (*MODEL, "shared.findings", "shared.settings", "shared.silences", "shared.sources", "shared.text")
"""What clients know of the core: its records, what each read takes, and how a text is shown; never its decisions."""
DECISIONS = ("evaluate", "reconcile", "Settings")


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {name_of(path): path for path in (*ROOT.glob("shared/**/*.py"), ROOT / "function_app.py")}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in PATHS.items()}


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def host(name: str) -> bool:
    return name in HOSTS or within(name, "shared.commands")


def layer(name: str) -> str:
    if host(name):
        return "host"
    if within(name, "shared.app"):
        return "app"
    if within(name, "shared.clients"):
        return "clients"
    return "model" if name in MODEL else "core"


LAYERS = ["model", "core", "clients", "app", "host"]
MAY_IMPORT = {
    "model": {"model"},
    "core": {"core", "model"},
    "clients": {"clients", "core", "model"},
    "app": {"app", "clients", "core", "model"},
    "host": set(LAYERS),
}


def imports(name: str, tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Every module that a module imports, with the name taken from it."""
    package = name if PATHS[name].stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join((*parents, *filter(None, [node.module])))
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield (inner, "") if inner in PATHS else (module, alias.name)


def of(*layers: str) -> list[str]:
    return sorted(name for name in PATHS if layer(name) in layers)


def test_every_layer_is_there():
    assert {layer(name) for name in PATHS} == set(LAYERS)


@pytest.mark.parametrize("name", sorted(PATHS))
def test_imports_point_one_way(name):
    for module, _ in imports(name, TREES[name]):
        if within(module, "shared", "function_app") and module != "shared":
            assert layer(module) in MAY_IMPORT[layer(name)], f"{name} imports {module}"


@pytest.mark.parametrize("name", sorted(PATHS))
def test_only_a_host_imports_the_use_cases(name):
    inside = within(name, "shared.app")
    for module, _ in imports(name, TREES[name]):
        assert inside or host(name) or not within(module, "shared.app"), f"{name} imports {module}"


@pytest.mark.parametrize("name", of("core", "model"))
def test_the_core_knows_the_standard_library_only_and_nothing_of_its_surroundings(name):
    banned = {"os", "asyncio", "socket", "subprocess", "urllib.request", "time", "threading", "pathlib", "io"}
    for module, _ in imports(name, TREES[name]):
        own = within(module, "shared")
        assert own or module.split(".")[0] in sys.stdlib_module_names, f"{name} imports {module}"
        assert not within(module, *banned), f"{name} imports {module}"
    assert "open" not in {node.id for node in ast.walk(TREES[name]) if isinstance(node, ast.Name)}


@pytest.mark.parametrize("name", of("clients"))
def test_clients_use_the_records_of_the_core_and_never_its_decisions(name):
    for module, taken in imports(name, TREES[name]):
        if layer(module) in ("core", "model") and within(module, "shared") and module != "shared":
            assert module in RECORDS, f"{name} imports {module}"
            assert taken not in DECISIONS, f"{name} imports {taken}"


def calls(tree: ast.AST) -> Iterator[str]:
    """Every dotted name in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)


@pytest.mark.parametrize("name", sorted(name for name in PATHS if not host(name)))
def test_only_a_host_knows_the_clock_and_the_environment(name):
    banned = ("datetime.now", "datetime.utcnow", "datetime.today", "date.today", "os.environ", "os.getenv")
    found = [call for call in calls(TREES[name]) if call.endswith(banned)]
    assert not found, f"{name}: {found}"
    assert "environ" not in {taken for module, taken in imports(name, TREES[name]) if module == "os"}


# The program's outermost frame gives an error its own exit status, and prints the whole of it.
@pytest.mark.parametrize("name", sorted(name for name in PATHS if layer(name) != "app" and name != "shared.__main__"))
def test_only_the_use_cases_may_catch_everything(name):
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.ExceptHandler):
            caught = "everything" if node.type is None else ast.unparse(node.type)
            assert caught not in ("everything", "Exception", "BaseException"), f"{name}:{node.lineno}"


@pytest.mark.parametrize("name", of("clients", "app"))
def test_no_error_becomes_an_empty_list(name):
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.ExceptHandler):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and isinstance(inner.value, ast.List | ast.Dict | ast.Tuple):
                    filled = inner.value.keys if isinstance(inner.value, ast.Dict) else inner.value.elts
                    assert filled, f"{name}:{inner.lineno} returns nothing for an error"


def test_the_function_app_imports_nothing_heavy_at_start():
    top = [node for node in TREES["function_app"].body if isinstance(node, ast.Import | ast.ImportFrom)]
    found = {module for module, _ in imports("function_app", ast.Module(body=top, type_ignores=[]))}
    assert found <= {"azure.functions", "shared.settings", "datetime", "logging", "os"}
