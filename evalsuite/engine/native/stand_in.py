"""What modelling code is given in place of transformers' own objects, and what is said where it asks for
more.

An error of another library's code is no reason that a reader understands. So what a stand-in lacks is named
in words, and what else ends a trial is quoted as what it is.
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
"""Of tensors."""


class UnknownUseError(UnknownOptionError, AttributeError):
    """Modelling code asks a stand-in for something that it does not have; the text says what, in a few
    words."""


class StandIn:
    """Base of what stands for an object of transformers; each use that its class does not define raises.

    `hasattr` and `getattr` with a default answer as for any other object.
    """

    stands_for: ClassVar[str]
    """As a reader calls it: "attention mask"."""

    def __getattr__(self, name: str) -> Any:
        """Raises UnknownUseError: the class has no such attribute."""
        raise UnknownUseError(f"its code asks its {self.stands_for} for {name}, which is not understood here")


class TensorStandIn(StandIn):
    """The same of a tensor: torch's functions and operators raise, too."""

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
    """Why a trial ended in an error, in a few words: those of an error of ours, else its kind and its first
    line."""
    line = next(iter(str(error).strip().splitlines()), "")
    if isinstance(error, UnknownOptionError | ModelError) and line:
        return line.removesuffix(".")
    kind = type(error).__name__
    return f"a trial ended in an error, {kind}" + (f": {line.removesuffix('.')}" if line else "")
