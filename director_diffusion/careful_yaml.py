"""Careful YAML: files that people write, or that somebody else has, read without being led astray.

Belongs here: what of YAML is taken: plain values, lists and mappings of a sensible size and depth, each key once.  What
keys mean is said elsewhere.
"""

from typing import Any

import yaml

MOST_BYTES = 1 << 20
MOST_DEPTH = 40  # of lists and mappings in each other
MOST_VALUES = 100_000  # with each alias counted as what it stands for
_MOST_NUMBER = 1 << 63

# What PyYAML lets through of values that look like dates or numbers, or are tagged as such, and are none.
_NO_SUCH_VALUE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
_SHOWN = 60  # characters of a value


def read_yaml(data: bytes) -> Any:
    """What a file holds.  Raises ValueError, saying what is wrong and where."""
    if len(data) > MOST_BYTES:
        raise ValueError(f"it has more than the {MOST_BYTES:,} bytes that somebody may have written")
    try:
        text = data.decode("utf-8-sig")
        _check_depth(text)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _measure(node, {})
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except _NO_SUCH_VALUE as error:
            kind = node.tag.rpartition(":")[2]
            raise _refused(node, f"{_shown(node)} is no {kind}: {str(error) or type(error).__name__}") from error
        if isinstance(value, int) and abs(value) >= _MOST_NUMBER:
            raise _refused(node, f"{_shown(node)} is more than any number here may be")
        return value


def _check_depth(text: str) -> None:
    """Look at a file's form alone: what follows goes through it by calling itself."""
    depth = 0
    for event in yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            raise _nested(event)


def _measure(node: yaml.Node, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """Values and depth of a node, aliases followed; `known` has None for those that are being measured."""
    if id(node) in known:
        measured = known[id(node)]
        if measured is None:
            raise _refused(node, "is a part of itself")
        return measured
    known[id(node)] = None
    values, depth = 1, 0
    for child in _children(node):
        more, below = _measure(child, known)
        values, depth = values + more, max(depth, below)
    if values > MOST_VALUES:
        raise _refused(node, f"aliases make it more than {MOST_VALUES:,} values")
    if depth >= MOST_DEPTH:
        raise _nested(node)
    known[id(node)] = values, depth + 1
    return values, depth + 1


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    if not isinstance(node, yaml.MappingNode):
        return []
    seen: set[tuple[str, str]] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if (key.tag, key.value) in seen:
                raise _refused(key, f"key {_shown(key)} is given twice")
            seen.add((key.tag, key.value))
    return [part for pair in node.value for part in pair]


def _shown(node: yaml.Node) -> str:
    value = str(node.value) if isinstance(node, yaml.ScalarNode) else node.tag.rpartition(":")[2]
    return repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…")


def _nested(at: yaml.Node | yaml.Event) -> yaml.MarkedYAMLError:
    return _refused(at, f"lists and mappings are more than {MOST_DEPTH} deep in each other")


def _refused(at: yaml.Node | yaml.Event, problem: str) -> yaml.MarkedYAMLError:
    mark: Any = at.start_mark  # the C loader's is as good
    return yaml.constructor.ConstructorError(None, None, problem, mark)
