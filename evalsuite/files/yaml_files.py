"""Loads untrusted YAML: checks its size before building it, and raises a single kind of error.

A few hundred bytes of aliases can expand to billions of nodes, and deep nesting crashes libyaml's recursion
with a segmentation fault. Both are detected in the stream of events, which needs no memory in either case.
"""

from typing import Any

import yaml

MOST_NODES = 1_000_000
"""Limit with all aliases expanded; the largest file of lm-eval's tasks has about 10,000 nodes."""
DEEPEST = 100

SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's loader if PyYAML has it, which is ten times as fast."""
C_LOADERS = tuple(vars(yaml)[name] for name in ("CSafeLoader", "CBaseLoader") if hasattr(yaml, name))


class BadYaml(ValueError):
    """Text that is not YAML, or YAML that is too deep or too large; the message is one line."""


class GivenTwice(BadYaml):
    """A duplicate key in a mapping, of which YAML readers silently keep the last value."""

    def __init__(self, key: str, line: int) -> None:
        super().__init__(f"'{key}' is given twice")
        self.line = line
        """Line of the second key, from 1."""


def load_yaml(text: str | bytes, loader: Any = SafeLoader, *, unique_keys: bool = False) -> Any:
    """The value of a YAML document.

    Args:
        text: the document.
        loader: a safe loader of PyYAML.
        unique_keys: raise GivenTwice for duplicate keys.

    Raises:
        BadYaml: the document cannot be loaded, for any reason.
    """
    try:
        _check(text, loader, unique_keys)
        return yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader
    except BadYaml:
        raise
    except (
        yaml.YAMLError,
        ValueError,
        TypeError,
        AttributeError,
        KeyError,
        OverflowError,
        RecursionError,
    ) as error:
        raise BadYaml(" ".join(str(error).split()) or type(error).__name__) from None


def _check(text: str | bytes, loader: Any, unique_keys: bool) -> None:
    """Raises BadYaml if the document is too deep, or too large with its aliases expanded."""
    sizes: dict[str | None, int] = {}
    open_nodes: list[list[Any]] = []
    total = 0
    mappings: list[_Keys | None] = []
    parser = loader if issubclass(loader, C_LOADERS) else yaml.SafeLoader
    for event in yaml.parse(text, Loader=parser):
        if unique_keys and isinstance(event, yaml.NodeEvent) and mappings and mappings[-1] is not None:
            mappings[-1].see(event)
        if isinstance(event, yaml.CollectionStartEvent):
            mappings.append(_Keys() if isinstance(event, yaml.MappingStartEvent) else None)
        elif isinstance(event, yaml.CollectionEndEvent):
            mappings.pop()
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append([event.anchor, total])
            if len(open_nodes) > DEEPEST:
                raise BadYaml(f"it is nested more than {DEEPEST} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor is not None:
                sizes[anchor] = total + 1 - before
        elif isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_nodes):
                raise BadYaml(f"the alias '{event.anchor}' refers to a node that contains it")
            total += sizes.get(event.anchor, 1)
        if isinstance(event, yaml.NodeEvent):
            total += 1
        if total > MOST_NODES:
            raise BadYaml(f"its aliases expand to more than {MOST_NODES:,} nodes")


class _Keys:
    """The keys of an open mapping, in which every second node is a key."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._is_key = True

    def see(self, event: yaml.NodeEvent) -> None:
        """Raises GivenTwice for a scalar key that was seen before."""
        if self._is_key and isinstance(event, yaml.ScalarEvent):
            if event.value in self._seen:
                mark = event.start_mark
                raise GivenTwice(event.value, mark.line + 1 if mark else 0)
            self._seen.add(event.value)
        self._is_key = not self._is_key
