"""Names of wrappers, containers and training state; the rotary order of torchtitan's Llama."""

import pytest
import torch

from evalsuite.checkpoints.raw.stored import Stored
from evalsuite.dcp.names import clean
from evalsuite.dcp.namings import halves_from_pairs, kind_of


@pytest.mark.parametrize(
    ("own", "cleaned"),
    [
        ("model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.weight"),
        ("_orig_mod.model.layers.0._orig_mod.mlp.weight", "model.layers.0.mlp.weight"),
        ("module._fsdp_wrapped_module.lm_head.weight", "module.lm_head.weight"),
        ("model.layers.0._checkpoint_wrapped_module.norm.weight", "model.layers.0.norm.weight"),
    ],
)
def test_segments_of_wrappers_go(own, cleaned):
    assert clean([own]).weights == {cleaned: own}


def test_training_state_is_told_from_weights_by_its_place():
    names = clean(
        [
            "app.optim.state.model.norm.weight.exp_avg",
            "optimizer.param_groups.0.lr",
            "state.rng.0",
            "model.optimizer_gate.weight",
            "model.layers.0.step.weight",
            "step",
        ]
    )
    assert set(names.weights) == {"model.optimizer_gate.weight", "model.layers.0.step.weight"}
    assert names.training_state == {"optim": 1, "optimizer": 1, "rng": 1, "step": 1}


def test_prefixes_are_the_containers_that_all_weights_share():
    assert clean(["app.model.model.norm.weight", "app.model.lm_head.weight"]).prefixes() == [
        "",
        "app.",
        "app.model.",
    ]
    assert clean(["model.norm.weight", "lm_head.weight"]).prefixes() == [""]
    assert clean([]).prefixes() == [""]


def test_kinds_have_no_numbers():
    assert kind_of("layers.12.experts.3.w1.weight") == "layers.#.experts.#.w1.weight"
    assert kind_of("blocks2.fc1.10") == "blocks2.fc1.#"


def test_rotated_pairs_and_rotated_halves_give_the_same_attention():
    """torchtitan rotates rows 2i and 2i+1 as a complex number, transformers rows i and i + half."""
    heads, head, width, positions = 3, 8, 10, 5
    torch.manual_seed(0)
    queries, keys = torch.randn(2, heads * head, width, dtype=torch.float64)
    inputs = torch.randn(positions, width, dtype=torch.float64)
    angles = torch.outer(torch.arange(positions), 100.0 ** (-torch.arange(0, head, 2) / head)).double()

    def scores(rotate, queries, keys):
        q, k = (rotate((inputs @ rows.T).view(positions, heads, head)) for rows in (queries, keys))
        return torch.einsum("phd,qhd->hpq", q, k)

    def in_pairs(values):
        turned = torch.view_as_complex(values.reshape(positions, heads, -1, 2).contiguous())
        turned = turned * torch.polar(torch.ones_like(angles), angles)[:, None]
        return torch.view_as_real(turned).flatten(-2)

    def in_halves(values):
        cos, sin = angles.cos().repeat(1, 2)[:, None], angles.sin().repeat(1, 2)[:, None]
        first, second = values.chunk(2, dim=-1)
        return values * cos + torch.cat([-second, first], -1) * sin

    convert = halves_from_pairs(heads)
    changed = [convert(Stored(tuple(w.shape), w.dtype, lambda w=w: w)).read() for w in (queries, keys)]
    torch.testing.assert_close(scores(in_halves, *changed), scores(in_pairs, queries, keys))
    assert not torch.allclose(scores(in_halves, queries, keys), scores(in_pairs, queries, keys))
