"""Every name of vLLM that the adapter uses, held against the source in vLLM's own wheel (336 MB,
downloaded)."""

import ast
import subprocess
import sys
import zipfile

import pytest

from evalsuite.engine.vllm.score import MOST_IDS
from evalsuite.engine.vllm.settings import DEFAULTS, SETTINGS, TUNING
from tests.engine.vllm.shapes import (
    COMPLETION_OUTPUT,
    LLM_METHODS,
    LOGPROB,
    REQUEST_OUTPUT,
    SAMPLING_PARAMS,
    VERSION,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The syntax tree of a module in the wheel, by its path."""
    folder = tmp_path_factory.mktemp("vllm")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--quiet",
        "--dest",
        folder,
        f"vllm=={VERSION}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    if done.returncode:
        pytest.skip(f"vllm {VERSION} cannot be downloaded: {done.stderr.strip().splitlines()[-1]}")
    [wheel] = folder.glob("vllm-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        yield lambda path: ast.parse(archive.read(path))
    wheel.unlink()


def the_class(tree: ast.Module, name: str) -> ast.ClassDef:
    [found] = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name]
    return found


def fields(tree: ast.Module, name: str) -> set[str]:
    """Annotated names in the body of a class."""
    body = the_class(tree, name).body
    return {
        one.target.id for one in body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
    }


def parameters(tree: ast.Module, name: str, method: str) -> set[str]:
    [found] = [
        one for one in the_class(tree, name).body if isinstance(one, ast.FunctionDef) and one.name == method
    ]
    return {one.arg for one in (*found.args.args, *found.args.kwonlyargs)}


def test_settings_are_arguments_of_the_engine(source):
    known = fields(source("vllm/engine/arg_utils.py"), "EngineArgs")
    assert {*SETTINGS, *TUNING, *DEFAULTS, "model", "tokenizer", "dtype", "trust_remote_code"} <= known


def test_the_engine_takes_what_it_is_asked_with(source):
    tree = source("vllm/entrypoints/llm.py")
    for method, names in LLM_METHODS.items():
        assert names <= parameters(tree, "LLM", method)
    # What `LLM` does not name itself goes on to `EngineArgs`.
    [init] = [one for one in the_class(tree, "LLM").body if getattr(one, "name", "") == "__init__"]
    assert init.args.kwarg is not None


def test_sampling_parameters_are_there(source):
    tree = source("vllm/sampling_params.py")
    assert fields(tree, "SamplingParams") >= SAMPLING_PARAMS
    [limit] = [
        one.value.value
        for one in tree.body
        if isinstance(one, ast.Assign) and getattr(one.targets[0], "id", "") == "MAX_LOGPROB_TOKEN_IDS"
    ]
    assert limit == MOST_IDS


def test_outputs_have_what_is_read(source):
    outputs = source("vllm/outputs.py")
    assert parameters(outputs, "RequestOutput", "__init__") >= REQUEST_OUTPUT
    assert fields(outputs, "CompletionOutput") >= COMPLETION_OUTPUT
    assert fields(source("vllm/logprobs.py"), "Logprob") >= LOGPROB


def test_a_prompt_may_be_token_ids(source):
    assert "prompt_token_ids" in fields(source("vllm/inputs/llm.py"), "TokensPrompt")


def test_names_are_exported(source):
    text = ast.unparse(source("vllm/__init__.py"))
    assert "LLM" in text
    assert "SamplingParams" in text
