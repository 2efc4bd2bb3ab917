"""Archives that are damaged, hostile, or of another model: one sentence each, and nothing left behind."""

import io
import os
import tarfile

import pytest
import torch

from evalsuite.checkpoints import model_folder, resolve, tokenizer_folder
from evalsuite.errors import ModelError
from tests.nemo.archives import add, gpt, pack, saved, state_dict, torch_dist_files, write, zarr_files


def use(path) -> None:
    files = resolve(str(path))
    tokenizer_folder(files)
    model_folder(files)


def refusal(path) -> str:
    """Why an archive is refused; whatever was begun in the cache is gone."""
    with pytest.raises(ModelError) as caught:
        use(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    cache = path.parent / "cache" / "evalsuite" / "nemo"
    assert not list(cache.glob("*/model")) + list(cache.glob("*/.*"))
    return message


@pytest.fixture
def whole(tmp_path, pieces):
    return write(tmp_path, gpt(), pieces, tp=2)


@pytest.mark.parametrize("part", [0, 100, 600, 5_000, 60_000, 150_000])
def test_a_truncated_archive_is_refused(whole, part):
    whole.write_bytes(whole.read_bytes()[:part])
    refusal(whole)


@pytest.mark.parametrize("part", [10, 1000, 100_000])
def test_a_truncated_gzipped_archive_is_refused(tmp_path, pieces, part):
    path = write(tmp_path, gpt(), pieces, compressed=True)
    path.write_bytes(path.read_bytes()[:part])
    assert "not a whole .nemo (tar) file" in refusal(path)


def test_a_damaged_gzipped_archive_is_refused(tmp_path, pieces):
    path = write(tmp_path, gpt(), pieces, compressed=True)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    refusal(path)


def test_damaged_weights_are_refused(tmp_path, pieces):
    """One bit of one weight: PyTorch's file has a checksum of every tensor."""
    model = gpt(layers=1)
    path = write(tmp_path, model, pieces)
    content = bytearray(path.read_bytes())
    at = content.index(model.tensors["mlp_out.weight", 0].numpy().tobytes())
    content[at + 7] ^= 1
    path.write_bytes(content)
    assert "damaged" in refusal(path)


def test_what_is_no_archive_is_refused(tmp_path):
    path = tmp_path / "tiny.nemo"
    path.write_text("a model")
    assert "not a whole .nemo (tar) file" in refusal(path)


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("../outside", {}, "leads out of it"),
        ("/absolute", {}, "leads out of it"),
        ("./a/../../outside", {}, "leads out of it"),
        ("link", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "not a plain file"),
        ("hard", {"type": tarfile.LNKTYPE, "linkname": "model_config.yaml"}, "not a plain file"),
        ("device", {"type": tarfile.CHRTYPE}, "not a plain file"),
        ("pipe", {"type": tarfile.FIFOTYPE}, "not a plain file"),
        ("./model_config.yaml", {}, "twice"),
    ],
)
def test_members_that_do_not_belong_are_refused(whole, name, fields, said):
    with tarfile.open(whole, "a:") as tar:
        add(tar, name, **fields)
    assert said in refusal(whole)


class Hostile:
    """Its pickle would run a command."""

    def __reduce__(self):
        return os.system, ("touch /tmp/owned",)


def test_weights_that_would_run_code_are_refused(tmp_path, pieces):
    path = write(tmp_path, gpt(layers=1), pieces, extras={"model.decoder.note": Hostile()})
    assert "refused" in refusal(path)


def test_an_index_of_a_distributed_checkpoint_runs_no_code(tmp_path, pieces):
    import pickle

    files = torch_dist_files(gpt(layers=1), tmp_path / "scratch")
    mark = tmp_path / "owned"

    class Touch:
        def __reduce__(self):
            return os.mkdir, (str(mark),)

    files["model_weights/.metadata"] = pickle.dumps(Touch())
    path = pack(tmp_path / "tiny.nemo", files, gpt(layers=1).settings, pieces)
    assert "distributed checkpoint is damaged" in refusal(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"target": "nemo.collections.nlp.models.language_modeling.megatron_t5_model.MegatronT5Model"},
            "MegatronT5Model",
        ),
        ({"activation": "fast-swiglu"}, "no activation = fast-swiglu (it has squared-relu)"),
        ({"normalization": "rmsnorm"}, "no normalization = rmsnorm"),
        ({"position_embedding_type": "learned_absolute"}, "no position_embedding_type"),
        ({"num_moe_experts": 8}, "no num_moe_experts = 8"),
        ({"hidden_size": None}, "hidden_size"),
        ({"hidden_size": 64}, "has shape"),
        ({"num_layers": 5}, "has no attention_norm.weight of layer 4"),
        ({"num_layers": 3}, "of layer 3 that its configuration does not have"),
        ({"bias": True}, "has no qkv.bias of layer 0"),
        ({"num_query_groups": 3}, "4 attention heads in 3 groups"),
        ({"share_embeddings_and_output_weights": False, "ffn_hidden_size": 47}, "has shape"),
    ],
)
def test_another_architecture_is_refused_by_name(tmp_path, pieces, settings, said):
    assert said in refusal(write(tmp_path, gpt(), pieces, settings=settings))


def test_a_tensor_that_the_architecture_does_not_have_is_named(tmp_path, pieces):
    gate = {"model.decoder.layers.0.mlp.router.weight": torch.zeros(2, 2)}
    assert gate.keys() <= {
        refusal(write(tmp_path, gpt(), pieces, extras=gate)).rsplit(": ", 1)[1].rstrip(".")
    }


def test_a_missing_rank_is_named(tmp_path, pieces):
    model = gpt()
    files = {
        f"tp_rank_{tp:02d}_pp_rank_{pp:03d}/model_weights.ckpt": saved(
            state_dict(model, "core", tp=(tp, 2), pp=(pp, 2))
        )
        for tp, pp in [(0, 0), (0, 1), (1, 1)]
    }
    path = pack(tmp_path / "tiny.nemo", files, model.settings, pieces)
    assert "lacks the weights of tensor rank 1 and pipeline rank 0" in refusal(path)


def test_a_last_rank_that_is_missing_is_noticed(tmp_path, pieces):
    model = gpt(vocabulary=1024)
    path = tmp_path / "tiny.nemo"
    first = saved(state_dict(model, "core", tp=(0, 2)))
    assert "has shape" in refusal(
        pack(path, {"mp_rank_00/model_weights.ckpt": first}, model.settings, pieces)
    )
    first = saved(state_dict(model, "core", pp=(0, 2)))
    files = {"tp_rank_00_pp_rank_000/model_weights.ckpt": first}
    assert "has no attention_norm.weight of layer 2" in refusal(pack(path, files, model.settings, pieces))


def test_ranks_with_different_tensors_are_refused(tmp_path, pieces):
    model = gpt()
    first, second = (state_dict(model, "core", tp=(rank, 2)) for rank in range(2))
    second.pop("model.decoder.layers.0.mlp.linear_fc1.weight")
    files = {"mp_rank_00/model_weights.ckpt": saved(first), "mp_rank_01/model_weights.ckpt": saved(second)}
    path = pack(tmp_path / "tiny.nemo", files, model.settings, pieces)
    assert "do not hold the same tensors" in refusal(path)


def test_missing_parts_are_named(tmp_path, pieces):
    model = gpt(layers=1)
    weights = {"model_weights.ckpt": saved(state_dict(model, "core"))}
    path = tmp_path / "tiny.nemo"
    assert "has no weights" in refusal(pack(path, {}, model.settings, pieces))
    assert "has no tokenizer" in refusal(pack(path, weights, model.settings, None))
    assert "SentencePiece model is not readable" in refusal(pack(path, weights, model.settings, b"no model"))
    assert "damaged" in refusal(pack(path, {"model_weights.ckpt": b"no weights"}, model.settings, pieces))
    with tarfile.open(path, "w:") as tar:
        add(tar, "./model_weights.ckpt", weights["model_weights.ckpt"])
    assert "has no model_config.yaml" in refusal(path)
    with tarfile.open(path, "w:") as tar:
        add(tar, "./model_config.yaml", b"a: [")
        add(tar, "./model_weights.ckpt", weights["model_weights.ckpt"])
    assert "not readable YAML" in refusal(path)


def test_more_pieces_than_embeddings_are_refused(tmp_path, pieces):
    assert "embeds 256 tokens, but its tokenizer has 500" in refusal(
        write(tmp_path, gpt(vocabulary=256), pieces)
    )


@pytest.mark.parametrize("spoil", ["missing", "short", "compressed"])
def test_damaged_zarr_checkpoints_are_refused(tmp_path, pieces, spoil):
    model = gpt(layers=2)
    files = zarr_files(model)
    start = "model_weights/model.decoder.layers.mlp.linear_fc1.weight/"
    if spoil == "missing":
        files.pop(f"{start}1.1.0")
    elif spoil == "short":
        files[f"{start}1.1.0"] = files[f"{start}1.1.0"][:-4]
    else:
        files[f"{start}.zarray"] = files[f"{start}.zarray"].replace(
            b'"compressor": null', b'"compressor": {"id": "blosc"}'
        )
    message = refusal(pack(tmp_path / "tiny.nemo", files, model.settings, pieces))
    assert "distributed checkpoint" in message


def test_a_full_disk_is_said_before_the_work(whole, monkeypatch):
    from evalsuite.checkpoints import building

    monkeypatch.setattr(building.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 1000})())
    with pytest.raises(ModelError, match=r"takes 0\.0 GB in .*, where 0\.0 GB are free"):
        model_folder(resolve(str(whole)))


def test_the_missing_package_is_named(whole, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(ModelError, match=r"pip install 'evalsuite\[nemo\]'"):
        tokenizer_folder(resolve(str(whole)))


def test_weights_of_an_unknown_kind_are_refused(tmp_path, pieces):
    file = io.BytesIO()
    torch.save([torch.zeros(2)], file)
    path = pack(tmp_path / "tiny.nemo", {"model_weights.ckpt": file.getvalue()}, gpt().settings, pieces)
    assert "not a mapping of tensors" in refusal(path)
