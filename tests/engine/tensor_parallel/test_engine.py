"""A team of two processes on the CPU: the numbers of one process, and nobody is left waiting when something
fails."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM, NemotronConfig, NemotronForCausalLM

from evalsuite.checkpoints import resolve
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.tensor_parallel.divide import divided_share, refuse_unless_divisible
from evalsuite.engine.tensor_parallel.ranks import ALONE, Ranks
from evalsuite.errors import ModelError, UserError
from tests.engine.tensor_parallel.in_team import SCORES, TEXTS, answered
from tests.engine.tiny import BOS, EOS, VOCABULARY, save, tiny_gpt2, tiny_llama, tiny_nemotron_h

ROOT = Path(__file__).parents[3]


def tiny_nemotron() -> NemotronForCausalLM:
    """Nemotron-4, whose plan has no gate: an odd one among the families."""
    torch.manual_seed(0)
    config = NemotronConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=BOS,
        eos_token_id=EOS,
        initializer_range=0.3,
    )
    return NemotronForCausalLM(config).eval()


def tied_llama() -> LlamaForCausalLM:
    """One matrix is embedding and head, and the plan divides the head."""
    torch.manual_seed(1)
    config = tiny_llama().config
    config.tie_word_embeddings = True
    return LlamaForCausalLM(config).eval()


MODELS = {"llama": tiny_llama, "tied": tied_llama}
if NemotronConfig.base_model_tp_plan:  # not in transformers 5.17
    MODELS["nemotron"] = tiny_nemotron


@pytest.fixture(scope="module")
def team(tmp_path_factory):
    """Lets two processes answer; gives their exit codes and what they said."""
    cache = str(tmp_path_factory.mktemp("cache"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1", "XDG_CACHE_HOME": cache}
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.engine.tensor_parallel.in_team"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def answer(result: Path, folder: Path, dtype: str, trouble: str = "") -> tuple[list[int], list[str]]:
        server.stdin.write(json.dumps([str(result), str(folder), dtype, trouble]) + "\n")
        server.stdin.flush()
        codes = json.loads(server.stdout.readline())
        return codes, [Path(f"{result}.{rank}").read_text("utf-8") for rank in range(2)]

    yield answer
    server.stdin.close()
    server.wait()


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    families = MODELS | {"gpt2": tiny_gpt2, "nemotron_h": tiny_nemotron_h}
    return lambda name: save(families[name](), root / name)


@pytest.mark.parametrize("name", MODELS)
def test_two_processes_answer_as_one(name, folder_of, team, tmp_path):
    folder = folder_of(name)
    codes, said = team(tmp_path / "result", folder, "float32")
    assert codes == [0, 0], said
    found = json.loads((tmp_path / "result").read_text("utf-8"))
    alone = answered(TransformersEngine(resolve(str(folder)), device="cpu", token_budget=24))
    assert (alone["numerics"], found["numerics"]) == (
        "transformers float32 cpu packed",
        "transformers float32 cpu packed tp2",
    )
    assert found["notes"] == []  # neither packs nor slots were given up
    assert found["parts"] == alone["parts"] > 1
    assert torch.allclose(torch.tensor(found["scores"]), torch.tensor(alone["scores"]), atol=1e-5, rtol=0)
    assert found["again"] == found["scores"][:4]
    assert found["texts"] == alone["texts"]
    assert len(found["scores"]) == len(SCORES)
    assert len(set(found["texts"])) > len(TEXTS) // 2


def test_all_processes_try_a_model_whose_identity_the_leader_is_asked_for(folder_of, team, tmp_path):
    codes, said = team(tmp_path / "result", folder_of("llama"), "bfloat16", "identity_first")
    assert codes == [0, 0], said
    found = json.loads((tmp_path / "result").read_text("utf-8"))
    assert not found["known"]
    assert found["first"] == found["numerics"] == "transformers bfloat16 cpu float32-sums packed tp2"
    assert len(found["scores"]) == len(SCORES)


def test_logits_of_a_divided_head_are_float32_in_half_precision(folder_of, team, tmp_path):
    folder = folder_of("tied")
    codes, said = team(tmp_path / "result", folder, "bfloat16")
    assert codes == [0, 0], said
    scores = torch.tensor(json.loads((tmp_path / "result").read_text("utf-8"))["scores"])
    assert (scores.to(torch.bfloat16).float() != scores).float().mean() > 0.9
    alone = answered(
        TransformersEngine(resolve(str(folder)), device="cpu", dtype="bfloat16", token_budget=24)
    )
    assert torch.allclose(scores, torch.tensor(alone["scores"]), atol=0.3, rtol=0)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gpt2", "divides 0% of the weights"),
        ("nemotron_h", r"plan for 'nemotron_h' divides \d+% of the weights"),
    ],
)
def test_a_model_without_a_plan_is_refused_by_a_sentence_that_names_device_map(
    name, said, folder_of, team, tmp_path
):
    codes, (leader, other) = team(tmp_path / "result", folder_of(name), "float32")
    assert codes == [2, 2]
    assert re.search(said, leader)
    assert "use one process with --device spread (device_map), without torchrun." in leader
    assert "Traceback" not in leader + other
    assert "evalsuite:" not in other


@pytest.mark.parametrize(
    ("trouble", "codes", "leader", "other"),
    [
        ("killed", [2, 9], "Process 0 of 2 lost the others", ""),
        ("without_memory", [2, 2], "Process 0 of 2 lost the others", "Process 1 of 2 ran out of memory"),
        ("not_stored", [2, 2], "No space is left.", "Process 1 of 2 lost the others"),
        ("refused", [2, 2], "The data set is not there.", ""),
        ("nothing_to_do", [0, 0], "", ""),
    ],
)
def test_what_ends_one_process_ends_the_other(trouble, codes, leader, other, folder_of, team, tmp_path):
    found, said = team(tmp_path / "result", folder_of("llama"), "float32", trouble)
    assert found == codes, said
    assert "Traceback" not in "".join(said)
    for words, text in zip((leader, other), said, strict=True):
        sentences = [line for line in text.splitlines() if line.startswith("evalsuite:")]
        assert [words in line for line in sentences] == [True] * bool(words), text


def test_how_much_a_plan_divides_is_known_without_weights(folder_of):
    assert divided_share(resolve(str(folder_of("llama")))) > 0.6
    assert divided_share(resolve(str(folder_of("gpt2")))) == 0


@pytest.mark.parametrize(
    ("environment", "team"),
    [
        ({}, ALONE),
        ({"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}, ALONE),
        ({"WORLD_SIZE": "8", "RANK": "5", "LOCAL_RANK": "1"}, Ranks(5, 8, 1)),
    ],
)
def test_a_team_is_read_from_what_torchrun_sets(environment, team):
    assert Ranks.of_torchrun(environment) == team


@pytest.mark.parametrize(
    "environment", [{"WORLD_SIZE": "2"}, {"WORLD_SIZE": "x", "RANK": "0", "LOCAL_RANK": "0"}]
)
def test_a_half_set_environment_is_a_sentence(environment):
    with pytest.raises(UserError, match="as torchrun sets it"):
        Ranks.of_torchrun(environment)


def gguf_of_nine_heads(path: Path) -> Path:
    """A GGUF file of a Llama with an odd number of heads: its configuration and one tensor."""
    gguf = pytest.importorskip("gguf", reason="the extra `gguf` is not installed")
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(72)
    writer.add_block_count(1)
    writer.add_feed_forward_length(8)
    writer.add_head_count(9)
    writer.add_head_count_kv(3)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_token_list(["a", "b"])
    writer.add_tensor("token_embd.weight", np.zeros((2, 72), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_heads_that_cannot_be_shared_equally_are_a_sentence(llama_files, tmp_path):
    """Also of a GGUF file, whose configuration is inside."""
    for files, size, said in (
        (llama_files, 3, "has 4 attention heads, which 3 processes cannot share equally"),
        (llama_files, 4, "has 2 key-value heads, which 4 processes cannot share equally"),
        (
            resolve(str(gguf_of_nine_heads(tmp_path / "nine.gguf"))),
            2,
            "has 9 attention heads, which 2 processes cannot",
        ),
    ):
        with pytest.raises(ModelError, match=said):
            refuse_unless_divisible(files, size)
