"""The specs of corpora against lm-eval's own evaluator on rows of the right schema."""

import gzip
import json
import random
import re

import pytest
from evalsuite.tasks.held_out_corpora import DETOKENIZED, PALOMA, PILE

from evalsuite import api
from evalsuite.lm_eval_bridge.data import data_from
from evalsuite.registry.registry import Registry
from evalsuite.results.tables import remarks
from tests.data.tiny_mirror import TinyMirror
from tests.lm_eval_bridge.conftest import Theirs, hf_model, task_manager

PAGES = [
    " = Robert Boulter = \n \n Robert Boulter is an English film , television and theatre actor . He 's "
    'cast in " Mercury Fur " ( 2005 ) at the 1 @,@ 000 @-@ seat theatre . \n',
    " = = Career = = \n The dogs ' owner said : go N ! [ sic ] Ünïcödé 5 ° north ; end ? \n" * 4,
    "Plain text , without a page .",
]
TASKS = ["wikitext", "c4", "paloma_ptb", "pile_arxiv"]


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    data = TinyMirror(folder)
    for dataset, config, split, column in (
        ("EleutherAI/wikitext_document_level", "wikitext-2-raw-v1", "test", "page"),
        ("allenai/paloma", "ptb", "test", "text"),
        ("EleutherAI/pile", "pile_arxiv", "train", "text"),
    ):
        data.add(dataset, split, [{column: page} for page in PAGES], config)
    files = [{"split": split, "path": f"en/c4-{split}.*.json.gz"} for split in ("train", "validation")]
    data.declare("allenai/c4", {"config_name": "en", "data_files": files})
    (folder / "allenai/c4/en").mkdir(parents=True)
    lines = "".join(json.dumps({"text": page, "url": "", "timestamp": ""}) + "\n" for page in PAGES)
    for name in ("c4-validation.00000-of-00008", "c4-train.00000-of-01024"):
        (folder / "allenai/c4/en" / f"{name}.json.gz").write_bytes(gzip.compress(lines.encode()))
    return folder


@pytest.fixture(scope="module")
def theirs(tiny, local, mirror):
    from lm_eval.evaluator import simple_evaluate

    with data_from(mirror, {"train", "validation", "val"}):
        return Theirs(
            simple_evaluate(
                model=hf_model(tiny),
                tasks=TASKS,
                task_manager=task_manager(local),
                bootstrap_iters=0,
            )
        )


@pytest.fixture(scope="module")
def ours(tiny, mirror, tmp_path_factory):
    addresses = [f"lm_eval/{name}" for name in TASKS]
    return api.run(addresses, str(tiny), data=mirror, out=tmp_path_factory.mktemp("out"), device="cpu")


@pytest.mark.parametrize("name", TASKS)
def test_scores_are_lm_eval_s_own_and_have_an_interval(ours, theirs, name):
    record = ours.task(name)
    found = {metric: one.value for metric, one in record.metrics.items()}
    assert found == pytest.approx(theirs.metrics(name), rel=1e-6)
    assert list(found) == ["word_perplexity", "byte_perplexity", "bits_per_byte"]
    assert all(one.low < one.value < one.high for one in record.metrics.values())


def test_the_defect_is_named_in_spec_and_result(ours):
    for name in ("wikitext", "c4"):
        spec = Registry.load().spec("lm_eval", name)
        assert (spec.lengths, bool(spec.rewrite)) == ("original", True)
        assert spec.source.caveat.startswith("Bits, bytes and words are not of the same text")
        assert any(line.startswith(f"{name}: Bits, bytes and words are not") for line in remarks(ours))
    assert not any(line.startswith("paloma_ptb: Bits") for line in remarks(ours))


def test_the_substitutions_are_those_of_lm_eval_s_detokenizer():
    from lm_eval.tasks.c4.preprocess_c4 import c4_detokenizer
    from lm_eval.tasks.wikitext.preprocess_wikitext import wikitext_detokenizer

    pieces = [" ", "\n", "word", "x", "5", "N", " N ", "' 5", " 's", "s '", "/' 4/", "=", " = =", "° ", " °"]
    pieces += [f" {sign} " for sign in ":;.!?,"] + [*"()[]{}\"'", " @-@ ", " @,@ ", " @.@ "]
    draw = random.Random(0)
    for _ in range(3000):
        text = page = "".join(draw.choices(pieces, k=draw.randint(1, 25)))
        for pattern, by in DETOKENIZED:
            text = re.sub(pattern, by, text)
        assert text == wikitext_detokenizer({"page": page}) == c4_detokenizer({"text": page})


def test_the_corpora_are_all_that_lm_eval_has():
    from evalsuite.lm_eval_bridge.index import names

    known = set(names())
    ours = {f"paloma_{one}" for one in PALOMA} | {f"pile_{one}" for one in PILE} | {"pile_10k"}
    assert {name for name in known if name.startswith(("paloma_", "pile_"))} == ours


def test_a_star_means_the_benchmarks_and_not_the_corpora():
    registry = Registry.load()
    assert not {one.spec.task for one in registry.select(["lm_eval/*"])} & {"wikitext", "c4", "pile_arxiv"}
    assert (
        len(registry.select(["lm_eval/paloma_*"])) == len(PALOMA) == len(registry.select(["lm_eval/paloma"]))
    )
