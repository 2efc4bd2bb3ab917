"""Prompts that no golden file holds, against lm-eval itself: the installed package builds them from the same
rows."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from evalsuite.prompting.exemplars import installed_file
from evalsuite.prompting.shots import Exemplars
from evalsuite.registry.registry import Registry
from evalsuite.requests.prepare import prepare
from tests.golden.golden import SHARED, needs_package, needs_shared

pytestmark = [needs_shared, needs_package("lm-eval"), pytest.mark.slow]

FIRST = 12
"""Documents of each (member) task; the draws of later ones go on in the same stream."""
LANGUAGES = ("bn", "de", "en", "es", "fr", "ja", "ru", "sw", "te", "th", "zh")
MATH = (
    "algebra",
    "counting_and_prob",
    "geometry",
    "intermediate_algebra",
    "num_theory",
    "prealgebra",
    "precalc",
)
CASES = [
    ("arc_easy@5", "arc/arc_easy.yaml", ""),
    ("boolq@5", "super_glue/boolq/default.yaml", ""),
    ("openbookqa@5", "openbookqa/openbookqa.yaml", ""),
    ("gsm8k@8", "gsm8k/gsm8k.yaml", ""),
    ("gsm8k_cot_self_consistency", "gsm8k/gsm8k-cot-self-consistency.yaml", ""),
    *(("hendrycks_math", f"hendrycks_math/hendrycks_math_{one}.yaml", one) for one in MATH),
    *(
        (f"mgsm_{kind}@{shots}", f"mgsm/{kind}/mgsm_{kind}_{language}.yaml", language)
        for kind in ("direct", "en_cot", "native_cot")
        for language in LANGUAGES
        for shots in (0, 5)
    ),
    *(("mgsm", f"mgsm/native_cot/mgsm_native_cot_{language}.yaml", language) for language in LANGUAGES),
]
"""Address, lm-eval's task file, member task."""


def task_file(name: str) -> Path:
    return installed_file(Exemplars(package="lm-eval", file=f"lm_eval/tasks/{name}", prefix_sha256=""))


def theirs(name: str, shots: int) -> Iterator[tuple[list[tuple[str, str]], dict]]:
    """(context, continuation) pairs and generation arguments of the first documents, by lm-eval's own
    classes."""
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks._yaml_loader import load_yaml

    config = load_yaml(task_file(name))
    config.pop("tag", None)
    task = ConfigurableTask(config=config | {"dataset_path": str(SHARED / config["dataset_path"])})
    task.set_fewshot_seed(1234)
    for document in islice(task.eval_docs, FIRST):
        context = task.fewshot_context(document, shots)
        requests = task.construct_requests(document, context)
        several = requests if isinstance(requests, list) else [requests]
        if task.OUTPUT_TYPE == "generate_until":
            yield [(one.args[0], "") for one in several], several[0].args[1]
        else:
            yield [one.args for one in several], {}


@pytest.mark.parametrize(("address", "name", "member"), CASES)
def test_prompts_are_those_that_lm_eval_builds(address, name, member, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    [selected] = Registry.load().select([f"lm_eval/{address}"])
    prepared = prepare(selected, data_dir=SHARED)
    spec = selected.spec
    places = [place for place, one in enumerate(prepared.documents) if one.member == member][:FIRST]
    for place, (pairs, arguments) in zip(places, theirs(name, spec.shots.count), strict=True):
        prompt = prepared.prompt(place)
        ours = list(prompt.pairs) or [(prompt.contexts[0], "")]
        assert ours == [tuple(pair) for pair in pairs]
        assert (spec.generation.reference_arguments(member) if spec.generation else {}) == arguments
