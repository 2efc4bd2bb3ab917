"""Stand-ins that modelling code gets in place of transformers' objects, with readable errors.

An error from another library's code is not a reason that a user understands. So a stand-in names in words
what it lacks, and any other error that ends a trial is quoted.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from evalsuite.engine.native.probe.attention_options import UnknownOptionError
from evalsuite.errors import ModelError

OPERATORS = (
    "add",
    "radd",
    "sub",
    "rsub",
    "mul",
    "rmul",
    "truediv",
    "and",
    "rand",
    "or",
    "ror",
    "xor",
    "invert",
    "neg",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "setitem",
    "len",
    "iter",
    "float",
    "int",
    "bool",
)
"""Operators of tensors, which a tensor's stand-in refuses."""


class UnknownUseError(UnknownOptionError, AttributeError):
    """Modelling code uses a stand-in in a way that it does not support; the text says how, in a few words."""


class ObjectStandIn:
    """Base class of stand-ins for transformers' objects; every use that a subclass does not define raises.

    `hasattr`, and `getattr` with a default, work as for any other object.
    """

    stands_for: ClassVar[str]
    """The replaced object in words: "attention mask"."""

    def __getattr__(self, name: str) -> Any:
        """Raises UnknownUseError: the class has no such attribute."""
        raise UnknownUseError(f"its code asks its {self.stands_for} for {name}, which is not understood here")


class TensorStandIn(ObjectStandIn):
    """Base class of stand-ins for tensors: torch's functions and operators raise, too."""

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Raises UnknownUseError."""
        name = getattr(function, "__name__", str(function))
        raise UnknownUseError(f"its code computes with its {cls.stands_for} ({name.strip('_')})")


def _raising(name: str) -> Callable[..., Any]:
    def operator(self: TensorStandIn, *_: Any) -> Any:
        raise UnknownUseError(f"its code computes with its {self.stands_for} ({name})")

    return operator


for _name in OPERATORS:
    setattr(TensorStandIn, f"__{_name}__", _raising(_name))
TensorStandIn.__hash__ = object.__hash__  # type: ignore[method-assign]


def why_it_stopped(error: Exception) -> str:
    """Why a trial ended in an error, in a few words: evalsuite's own, or the error's type and first line."""
    line = next(iter(str(error).strip().splitlines()), "")
    if isinstance(error, UnknownOptionError | ModelError) and line:
        return line.removesuffix(".")
    kind = type(error).__name__
    return f"a trial ended in an error, {kind}" + (f": {line.removesuffix('.')}" if line else "")
