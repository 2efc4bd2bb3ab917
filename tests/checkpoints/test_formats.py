"""Checkpoint formats found by entry point: the built-in one, the example, and formats that are wrong."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evalsuite import entry_points
from evalsuite.checkpoints import (
    CheckpointFormat,
    ModelFiles,
    model_folder,
    resolve,
    tokenizer_digest,
    tokenizer_folder,
    weights_digest,
)
from evalsuite.checkpoints.files import context_window, read_config, vocabulary_rows
from evalsuite.checkpoints.formats import CHECKPOINT_FORMATS, format_of, listed
from evalsuite.checkpoints.weights import find_weights, weight_bytes
from evalsuite.errors import ModelError, UserError

EXAMPLE = Path(__file__).parents[2] / "examples" / "third_party_format.py"


def refusal(name) -> str:
    with pytest.raises(ModelError) as error:
        resolve(str(name))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs a package that names a module as a checkpoint format."""
    home = tmp_path / "site"
    home.mkdir()

    def install(name: str, source: str) -> None:
        (home / f"{name}_format.py").write_text(source, "utf-8")
        info = home / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", "utf-8")
        entry = f"[evalsuite.checkpoint_formats]\n{name} = {name}_format:FORMAT\n"
        (info / "entry_points.txt").write_text(entry, "utf-8")
        monkeypatch.syspath_prepend(str(home))
        sys.modules.pop(f"{name}_format", None)
        entry_points.installed_entry_points.cache_clear()

    yield install
    entry_points.installed_entry_points.cache_clear()


@pytest.fixture
def arrays(installed) -> None:
    installed("arrays", EXAMPLE.read_text("utf-8"))


def as_arrays(folder: Path, out: Path) -> Path:
    """A Hugging Face folder with one weight file, as the example's training loop would have written it."""
    from safetensors.numpy import load_file

    out.mkdir()
    weights = load_file(folder / "model.safetensors")
    np.savez(out / "weights.npz", **{name.replace(".", "/"): value for name, value in weights.items()})
    (out / "model.json").write_text((folder / "config.json").read_text("utf-8"), "utf-8")
    for path in folder.glob("tokenizer*"):
        (out / path.name).write_bytes(path.read_bytes())
    return out


def test_nemo_is_a_format_like_any_other():
    assert "nemo" in CHECKPOINT_FORMATS.names()
    found = format_of(ModelFiles("m", Path(), format="nemo", checkpoint=Path("m.nemo")))
    assert isinstance(found, CheckpointFormat)
    assert (found.name, found.suffixes) == ("nemo", (".nemo",))
    assert format_of(ModelFiles("m", Path())) is None


def test_a_nemo_archives_identity_is_what_it_always_was(tmp_path):
    path = tmp_path / "any name.nemo"
    path.write_bytes(b"archive")
    files = ModelFiles("m", tmp_path, format="nemo", checkpoint=path)
    # Both were printed by evalsuite before there were formats.
    assert weights_digest(files) == "f77871f3a5964816b6f7ef70e8317331be01be67a77cb27a94e20eb88f5c8d51"
    assert tokenizer_digest(files) == "4e41d1be60b1fc534ca395a91f3da05ed4e8b917bbaaafd7f9bf3f62b766f4e2"
    assert find_weights(files).paths == {"any name.nemo": path}
    assert weight_bytes(files, 2) == len(b"archive")


def test_importing_checkpoints_imports_no_format():
    code = (
        "import sys, evalsuite.checkpoints; from evalsuite.checkpoints.formats import CHECKPOINT_FORMATS\n"
        "assert not any(name.startswith('evalsuite.nemo') for name in sys.modules), 'nemo is imported'\n"
        "list(CHECKPOINT_FORMATS.load_all())\n"
        "print(*sorted({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_format_in_one_file_is_found_converted_and_scored(arrays, model, tmp_path, own_cache):
    from evalsuite.engine.native.engine import TransformersEngine
    from evalsuite.engine.protocol import answers_in
    from evalsuite.types import ScoreRequest

    assert len(EXAMPLE.read_text("utf-8").splitlines()) < 80
    path = as_arrays(model, tmp_path / "step-1000")
    plain, files = resolve(str(model)), resolve(str(path))
    assert (files.format, files.checkpoint, files.folder) == ("arrays", path, path)
    assert read_config(files) == read_config(plain)
    assert context_window(files) == context_window(plain)
    assert vocabulary_rows(files) == vocabulary_rows(plain)
    assert set(find_weights(files).paths) >= {"weights.npz", "model.json", "tokenizer.json"}
    requests = [ScoreRequest((1, 5, 9), (7, 8)), ScoreRequest((1, 5), (3,))]
    engines = [TransformersEngine(one, dtype="float32", device="cpu") for one in (files, plain)]
    ours, theirs = (list(answers_in(engine.score(requests))) for engine in engines)
    assert ours == theirs
    text = ["Answer: 42"]
    ids = [engine.tokenizer.encode(text, special_tokens=True) for engine in engines]
    assert ids[0] == ids[1]
    [home] = {folder.parent.parent for folder in (model_folder(files), tokenizer_folder(files))}
    assert home == own_cache / "arrays"


def test_a_folder_of_a_format_is_known_by_its_content_and_not_by_its_name(arrays, model, tmp_path):
    path = as_arrays(model, tmp_path / "step-1000")
    first = resolve(str(path))
    digests = weights_digest(first), tokenizer_digest(first)
    assert digests[0] != digests[1]
    moved = resolve(str(path.rename(tmp_path / "moved")))
    assert (weights_digest(moved), tokenizer_digest(moved)) == digests
    (tmp_path / "moved" / "model.json").write_text("{}")
    changed = resolve(str(tmp_path / "moved"))
    assert weights_digest(changed, verify=True) != digests[0]


def test_an_unfinished_checkpoint_is_refused_in_the_formats_words(arrays, model, tmp_path):
    path = as_arrays(model, tmp_path / "step-1000")
    content = (path / "weights.npz").read_bytes()
    (path / "weights.npz").write_bytes(content[: len(content) // 2])
    assert refusal(path).endswith("weights.npz is not whole: wait until it is written, or write it again.")


def test_a_folder_with_a_config_is_never_taken_for_another_format(arrays, model, tmp_path):
    path = as_arrays(model, tmp_path / "step-1000")
    (path / "config.json").write_bytes((model / "config.json").read_bytes())
    assert "no weights" in refusal(path)


def test_an_adapter_is_not_applied_to_a_checkpoint(arrays, model, tmp_path):
    path = as_arrays(model, tmp_path / "step-1000")
    (path / "adapter_config.json").write_text("{}")
    assert "cannot be applied to such a folder" in refusal(path)
    (path / "adapter_config.json").rename(tmp_path / "adapter_config.json")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(path)}))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    assert f"{path} is a checkpoint of the format arrays, to which it cannot be applied" in refusal(tmp_path)


SUFFIX = """
from evalsuite.checkpoints.converted import ConvertedFormat
class Format(ConvertedFormat):
    name, suffixes, conversion = "{name}", ("{suffix}",), 1
    def recognizes(self, path): return {recognizes}
    def config(self, files): return {{}}
    def write_model(self, files, folder): pass
    def write_tokenizer(self, files, folder): pass
FORMAT = Format()
"""


def test_suffixes_of_installed_formats_stand_in_messages(installed, tmp_path):
    installed("toy", SUFFIX.format(name="toy", suffix=".toy", recognizes=False))
    (tmp_path / "notes.txt").write_text("")
    assert "is not a .gguf, .nemo or .toy file" in refusal(tmp_path / "notes.txt")
    assert refusal("models/some.toy") == "Model folder or file models/some.toy does not exist."
    (tmp_path / "one.toy").write_text("")
    assert resolve(str(tmp_path / "one.toy")).format == "toy"
    assert resolve(str(tmp_path)).checkpoint == tmp_path / "one.toy"


def test_memory_is_estimated_from_parameters_where_a_format_tells_them(installed, tmp_path):
    source = SUFFIX.format(name="toy", suffix=".toy", recognizes=False)
    installed("toy", source + "Format.parameters = lambda self, files: 1000\n")
    (tmp_path / "one.toy").write_text("12345")
    files = resolve(str(tmp_path / "one.toy"))
    assert [weight_bytes(files, item) for item in (2, 4)] == [2000, 4000]
    assert weight_bytes(ModelFiles("m", tmp_path, format="nemo", checkpoint=tmp_path / "one.toy"), 2) == 5


def test_a_folder_that_two_formats_recognise_is_refused(installed, tmp_path):
    for name in ("first", "second"):
        installed(name, SUFFIX.format(name=name, suffix=f".{name}", recognizes="path.is_dir()"))
    assert f"Checkpoint {tmp_path} is recognised by 2 formats, first and second: uninstall" in refusal(
        tmp_path
    )


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "import no_such_package",
            "The checkpoint format 'pot' (pot_format:FORMAT) cannot be imported: No module named",
        ),
        (
            "FORMAT = print",
            "The checkpoint format 'pot' (pot_format:FORMAT) must be an "
            "evalsuite.checkpoints.formats.CheckpointFormat.",
        ),
    ],
)
def test_a_format_that_cannot_be_had_is_one_sentence(installed, tmp_path, source, said):
    installed("pot", source)
    with pytest.raises(UserError) as caught:
        resolve(str(tmp_path))
    assert str(caught.value).startswith(said)


def test_a_format_whose_package_is_gone_is_named():
    with pytest.raises(UserError, match=r"Unknown checkpoint format 'nemmo'\. Did you mean nemo"):
        weights_digest(ModelFiles("m", Path(), format="nemmo", checkpoint=Path("x")))


@pytest.mark.parametrize(
    ("words", "text"), [(["a"], "a"), (["a", "b"], "a or b"), (["a", "b", "c"], "a, b or c")]
)
def test_words_are_listed(words, text):
    assert listed(words, "or") == text
