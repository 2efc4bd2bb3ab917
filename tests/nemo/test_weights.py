"""Archives of every layout, tensor for tensor, and their logits against Megatron's forward written out."""

import io

import pytest
import torch
from transformers import AutoModelForCausalLM

from evalsuite.checkpoints import model_folder, resolve
from tests.nemo import reference
from tests.nemo.archives import NAMINGS, gpt, pack, torch_dist_files, write, zarr_files

IDS = [7, 300, 12, 511, 7, 0, 45, 45, 99, 3]
SHAPES = {
    "multi-head": {},
    "grouped queries": {"groups": 2},
    "one group": {"groups": 1, "bias": True},
    "biases": {"bias": True},
    "grouped, biases, shared embedding": {"groups": 2, "bias": True, "tied": True},
    "own head width": {"head_width": 12, "groups": 2},
    "all rotated": {"rotary_percentage": 1.0, "rotary_base": 500},
}


def loaded(path):
    return AutoModelForCausalLM.from_pretrained(model_folder(resolve(str(path))), dtype=torch.float32).eval()


def check(model, path):
    """The logits of the whole archive are those of its tensors."""
    converted = loaded(path)
    with torch.inference_mode():
        got = converted(torch.tensor([IDS])).logits[0].double()
    expected = reference.logits(model, IDS)
    assert got.shape == expected.shape
    assert (got - expected).abs().max() < 1e-5 * expected.abs().max().clamp(min=1)
    return converted


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("naming", NAMINGS)
def test_logits_are_those_of_a_megatron_forward(tmp_path, pieces, naming, shape):
    model = gpt(**SHAPES[shape])
    check(model, write(tmp_path, model, pieces, naming))


@pytest.mark.parametrize("naming", ["megatron", "core"])
@pytest.mark.parametrize(("tp", "pp"), [(2, 1), (1, 2), (2, 2), (1, 4)])
def test_ranks_are_put_together(tmp_path, pieces, naming, tp, pp):
    model = gpt(groups=2, bias=True)
    check(model, write(tmp_path, model, pieces, naming, tp=tp, pp=pp))


def test_every_tensor_is_where_transformers_expects_it(tmp_path, pieces):
    model = gpt(groups=2, bias=True)
    found = check(model, write(tmp_path, model, pieces, tp=2)).state_dict()
    get = model.tensors
    assert torch.equal(found["model.embed_tokens.weight"], get["embedding.weight", None])
    assert torch.equal(found["lm_head.weight"], get["output.weight", None])
    for layer in range(4):
        start = f"model.layers.{layer}."
        # Two groups of two heads of 8: q q k v | q q k v, each 8 rows.
        blocks = get["qkv.weight", layer].split(8)
        expected = {"q": (0, 1, 4, 5), "k": (2, 6), "v": (3, 7)}
        for kind, order in expected.items():
            rows = torch.cat([blocks[number] for number in order])
            assert torch.equal(found[f"{start}self_attn.{kind}_proj.weight"], rows)
        assert torch.equal(found[f"{start}self_attn.o_proj.weight"], get["attention_out.weight", layer])
        assert torch.equal(found[f"{start}mlp.up_proj.bias"], get["mlp_in.bias", layer])
        assert torch.equal(found[f"{start}input_layernorm.weight"], get["attention_norm.weight", layer])


def test_half_precision_prefixes_and_kernel_states_change_nothing(tmp_path, pieces):
    model = gpt(dtype=torch.bfloat16)
    extras = {
        "model.module.decoder.layers.0.self_attention.linear_qkv._extra_state": io.BytesIO(b"kernels"),
        "model.module.decoder.layers.1.mlp.linear_fc1._extra_state": None,
        "model.module.decoder.layers.2.mlp.linear_fc2._extra_state": torch.zeros(3, dtype=torch.uint8),
        "model.module.rotary_pos_emb.inv_freq": torch.ones(2),
    }
    path = write(tmp_path, model, pieces, prefix="model.module.", extras=extras)
    folder = model_folder(resolve(str(path)))
    stored = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    assert stored.dtype == torch.bfloat16
    assert torch.equal(stored.lm_head.weight, model.tensors["output.weight", None])
    check(model, path)


def test_tensors_that_were_saved_from_a_gpu_are_read_without_one(tmp_path, pieces, monkeypatch):
    monkeypatch.setattr("torch.serialization.location_tag", lambda storage: "cuda:0")
    model = gpt(layers=1)
    path = write(tmp_path, model, pieces)
    assert b"cuda:0" in path.read_bytes()
    check(model, path)


def test_views_of_larger_tensors_are_read_as_what_they_show(tmp_path, pieces):
    model = gpt(layers=1)
    for key in (("mlp_out.weight", 0), ("qkv.weight", 0)):
        whole = torch.cat([model.tensors[key], model.tensors[key]]).T.contiguous().T
        model.tensors[key] = whole[: len(whole) // 2]
        assert not model.tensors[key].is_contiguous()
    check(model, write(tmp_path, model, pieces))


def test_rows_that_pad_the_vocabulary_stay_as_in_training(tmp_path, pieces):
    """The 500 pieces are embedded in 512 rows; Megatron's softmax runs over all of them."""
    model = gpt(vocabulary=512)
    assert loaded(write(tmp_path, model, pieces, tp=2)).config.vocab_size == 512


def test_a_gzipped_archive_gives_the_same(tmp_path, pieces):
    model = gpt()
    check(model, write(tmp_path, model, pieces, compressed=True))
    assert not list((tmp_path / "cache").rglob("*.tar"))


@pytest.mark.parametrize("shape", ["multi-head", "grouped, biases, shared embedding", "own head width"])
@pytest.mark.parametrize("kind", ["zarr", "torch_dist"])
def test_distributed_checkpoints_are_read(tmp_path, pieces, kind, shape):
    model = gpt(**SHAPES[shape])
    files = zarr_files(model) if kind == "zarr" else torch_dist_files(model, tmp_path / "scratch")
    check(model, pack(tmp_path / "tiny.nemo", files, model.settings, pieces))


def test_chunks_that_do_not_divide_a_tensor_are_padded(tmp_path, pieces):
    model = gpt(dtype=torch.bfloat16, vocabulary=509)
    path = pack(tmp_path / "tiny.nemo", zarr_files(model, cuts=3), model.settings, pieces)
    converted = loaded(path)
    assert torch.equal(converted.lm_head.weight.bfloat16(), model.tensors["output.weight", None])
    assert torch.equal(
        converted.model.layers[3].mlp.down_proj.weight.bfloat16(), model.tensors["mlp_out.weight", 3]
    )


def test_weights_are_cut_into_files_of_bounded_size(tmp_path, pieces, monkeypatch):
    monkeypatch.setattr("evalsuite.checkpoints.raw.write.SHARD_BYTES", 50_000)
    model = gpt()
    path = write(tmp_path, model, pieces)
    check(model, path)
    sizes = [one.stat().st_size for one in model_folder(resolve(str(path))).glob("*.safetensors")]
    assert len(sizes) > 3
    assert max(sizes) < 70_000
