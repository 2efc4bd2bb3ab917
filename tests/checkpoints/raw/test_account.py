"""Whatever is missing, left over or of another shape is named; a second copy of a tensor must be the same."""

from pathlib import Path

import pytest
import torch

from evalsuite.checkpoints.raw.account import account
from evalsuite.checkpoints.raw.stored import Stored
from evalsuite.checkpoints.raw.target import ModelTensors, TensorSpec
from evalsuite.errors import ModelError

NAMES = ("embed.weight", "a.weight", "b.weight", "c.weight", "d.weight")
MODEL = ModelTensors(
    {name: TensorSpec((3, 2), floating=True) for name in NAMES} | {"count": TensorSpec((), floating=False)},
    {"head.weight": "embed.weight"},
)


def stored(*shape: int, dtype: torch.dtype = torch.float32, value: float = 1) -> Stored:
    return Stored(shape, dtype, lambda: torch.full(shape, value, dtype=dtype))


def whole() -> dict[str, Stored]:
    return {name: stored(3, 2) for name in NAMES} | {"count": stored(dtype=torch.int64)}


def accounted(found: dict[str, Stored], *left_over: str) -> dict[str, Stored]:
    return account(MODEL, found, left_over, checkpoint=Path("ckpt"), config_folder=Path("conf"))


def refusal(found: dict[str, Stored], *left_over: str) -> str:
    with pytest.raises(ModelError) as error:
        accounted(found, *left_over)
    return str(error.value).removeprefix("Checkpoint ckpt is not of the model in conf: ")


def without(*names: str) -> dict[str, Stored]:
    return {name: each for name, each in whole().items() if name not in names}


def test_tensors_come_in_the_order_of_the_model():
    found = whole()
    assert list(accounted(dict(reversed(found.items())))) == list(MODEL.specs)
    assert accounted(found) == found


def test_missing_tensors_are_named_the_first_few_of_many():
    assert refusal(without("a.weight")) == "it lacks the tensor a.weight."
    assert refusal(without(*NAMES)) == "it lacks 5 tensors: embed.weight, a.weight, b.weight and 2 more."


def test_tensors_that_are_left_over_are_named():
    assert refusal(whole() | {"e.weight": stored(1)}, "odd.name") == (
        "it has, unlike the model, 2 tensors: odd.name, e.weight."
    )


def test_missing_and_left_over_tensors_are_named_in_one_sentence():
    assert refusal(without("a.weight"), "aa") == (
        "it lacks the tensor a.weight; it has, unlike the model, the tensor aa."
    )


def test_other_shapes_and_kinds_of_types_are_named():
    assert refusal(whole() | {"a.weight": stored(2, 3)}) == "it has a.weight of shape 2 x 3 instead of 3 x 2."
    assert refusal(whole() | {"a.weight": stored(3, 2, dtype=torch.int8), "count": stored(2)}) == (
        "it has a.weight as int8 instead of a floating-point type (2 tensors differ)."
    )
    assert "as float8_e4m3fn instead of" in refusal(
        whole() | {"a.weight": stored(3, 2, dtype=torch.float8_e4m3fn)}
    )
    assert accounted(whole() | {"a.weight": stored(3, 2, dtype=torch.bfloat16)})


def test_a_tied_tensor_may_be_stored_under_either_name_or_both():
    head = {"head.weight": stored(3, 2)}
    assert "head.weight" not in accounted(whole() | head)
    assert accounted(without("embed.weight") | head)["embed.weight"] is head["head.weight"]
    accounted(whole() | head)["embed.weight"].read()
    with pytest.raises(ModelError, match=r"other values in head\.weight than in embed\.weight"):
        accounted(whole() | {"head.weight": stored(3, 2, value=2)})["embed.weight"].read()
    with pytest.raises(ModelError, match="ties the two"):
        accounted(whole() | {"head.weight": stored(4, 2)})
