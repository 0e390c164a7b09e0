"""A check's answer has its own members beside what the check measured: none of these takes the name of another."""

import ast
from collections.abc import Iterator
from pathlib import Path

import healthd.checks
from healthd.web.documents import MEMBERS
from healthd.web.schema import NamedCheckAnswer

_SOURCES = sorted(Path(healthd.checks.__file__).parent.rglob("*.py"))


def _measured(tree: ast.AST) -> Iterator[str]:
    """Yield the keys of what is observed: in a call, in an assignment, or put into it later."""
    observed = {"observed"} | {
        node.value.id
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "observed" and isinstance(node.value, ast.Name)
    }

    def is_observed(target: ast.AST) -> bool:
        return isinstance(target, ast.Name) and target.id in observed

    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg="observed", value=value):
                yield from _keys(value)
            case ast.Assign(targets=[target], value=value) | ast.AnnAssign(target=target, value=value) if value:
                if is_observed(target) or _is_typed(node):
                    yield from _keys(value)
                if isinstance(target, ast.Subscript) and is_observed(target.value):
                    yield from _keys(target.slice)
            case ast.AugAssign(target=target, value=value) if is_observed(target):
                yield from _keys(value)
            case ast.FunctionDef(returns=ast.Name(id="Observed" | "Observations")):
                for each in ast.walk(node):
                    if isinstance(each, ast.Return) and each.value is not None:
                        yield from _keys(each.value)


def _is_typed(node: ast.AST) -> bool:
    return isinstance(node, ast.AnnAssign) and "Observ" in ast.unparse(node.annotation)


def _keys(value: ast.AST) -> Iterator[str]:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    for each in ast.walk(value):
        if isinstance(each, ast.Dict):
            yield from (it.value for it in each.keys if isinstance(it, ast.Constant) and isinstance(it.value, str))


def test_no_check_measures_what_its_answer_calls_otherwise() -> None:
    """As `pending` of migrations and of ECS: a reader of `/health` could not tell which one it is."""
    found = {(path.name, key) for path in _SOURCES for key in _measured(ast.parse(path.read_text()))}
    assert {("migrations.py", "pending"), ("ecs.py", "pending"), ("heartbeat.py", "lastDuration")} <= found
    assert [(path, key) for path, key in sorted(found) if key in MEMBERS] == []


def test_the_members_are_those_of_the_schema() -> None:
    assert {field.alias or name for name, field in NamedCheckAnswer.model_fields.items()} == MEMBERS
