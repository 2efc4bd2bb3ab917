"""The corpora of lm-eval's rolling log-likelihoods: WikiText, C4, Paloma and the Pile, with its prompt specs.

lm-eval 0.4.13 scores WikiText and C4 after a detokenizer that was written for WikiText, but divides by the
words and bytes of the text before it (tasks/wikitext/preprocess_wikitext.py, tasks/c4/preprocess_c4.py). The
specs keep this, since published numbers have it, and say so in every result.
"""

import re

from evalsuite.data.refs import DatasetRef
from evalsuite.prompting.spec import PromptSpec
from evalsuite.task import Task
from evalsuite.types import HeldOutText, Row

VERSION = "lm-eval 0.4.13"
METRICS = ("word_perplexity", "byte_perplexity", "bits_per_byte")


def _as_it_is(*texts: tuple[str, str]) -> list[tuple[str, str]]:
    return [(re.escape(old), new) for old, new in texts]


# In lm-eval's order. The rule for digits and the one for N are its own slips.
DETOKENIZED = [
    *_as_it_is(("s '", "s'")),
    (r"/' [0-9]/", "/'[0-9]/"),
    *_as_it_is((" @-@ ", "-"), (" @,@ ", ","), (" @.@ ", ".")),
    *_as_it_is(*((f" {sign} ", f"{sign} ") for sign in ":;.!?,")),
    (r"\(\s*([^\)]*?)\s*\)", r"(\1)"),
    (r"\[\s*([^\]]*?)\s*\]", r"[\1]"),
    (r"{\s*([^}]*?)\s*}", r"{\1}"),
    (r"\"\s*([^\"]*?)\s*\"", r'"\1"'),
    (r"'\s*([^']*?)\s*'", r"'\1'"),
    *_as_it_is(("= = = =", "===="), ("= = =", "==="), ("= =", "==")),
    *_as_it_is((" ° ", "°"), (" \n", "\n"), ("\n ", "\n"), (" N ", " 1 "), (" 's", "'s")),
]
DEFECT = (
    "Bits, bytes and words are not of the same text: the detokenized text is scored, the words and bytes of "
    "the text before it are counted, as in lm-eval"
)

PALOMA = [
    "4chan_meta_sep",
    "c4_100_domains",
    "c4_en",
    "dolma-v1_5",
    "dolma_100_programing_languages",
    "dolma_100_subreddits",
    "falcon-refinedweb",
    "gab",
    "m2d2_s2orc_unsplit",
    "m2d2_wikipedia_unsplit",
    "manosphere_meta_sep",
    "mc4",
    "ptb",
    "redpajama",
    "twitterAAE_HELM_fixed",
    "wikitext_103",
]
PILE = [
    "arxiv",
    "bookcorpus2",
    "books3",
    "dm-mathematics",
    "enron",
    "europarl",
    "freelaw",
    "github",
    "gutenberg",
    "hackernews",
    "nih-exporter",
    "opensubtitles",
    "openwebtext2",
    "philpapers",
    "pile-cc",
    "pubmed-abstracts",
    "pubmed-central",
    "stackexchange",
    "ubuntu-irc",
    "uspto",
    "wikipedia",
    "youtubesubtitles",
]


def page(row: Row) -> HeldOutText:
    return HeldOutText(row["page"])


def text(row: Row) -> HeldOutText:
    return HeldOutText(row["text"])


def spec(name: str, version: int, *, detokenized: bool = False) -> PromptSpec:
    """lm-eval's own definition; `detokenized`: with its defect."""
    rules = [{"pattern": pattern, "by": by} for pattern, by in DETOKENIZED]
    return PromptSpec.model_validate(
        {
            "recipe": "lm_eval",
            "task": name,
            "version": version,
            "source": {
                "reference": f"{VERSION}, {name}",
                "status": "stock",
                "caveat": DEFECT if detokenized else "",
            },
            "format": "text",
            "question": "",
            "delimiter": "",
            "join": "rolling",
            "bos": "tokenizer",
            "scorer": "text",
            "metrics": METRICS,
            **({"rewrite": rules, "lengths": "original"} if detokenized else {}),
        }
    )


def of_texts(name: str, title: str, data: DatasetRef, split: str, prompt: PromptSpec) -> Task:
    """A corpus with the text in column `text`."""
    return Task(
        name=name,
        title=title,
        data=data,
        split=split,
        question=text,
        chance=None,
        comparability=1,
        prompts=(prompt,),
    )


# None of the splits is pinned: no copy was available.
TASKS = [
    Task(
        name="wikitext",
        title="perplexity of WikiText-2, page by page",
        data=DatasetRef("EleutherAI/wikitext_document_level", ("page",), "wikitext-2-raw-v1"),
        split="test",
        question=page,
        chance=None,
        comparability=1,
        prompts=(spec("wikitext", 2, detokenized=True),),
    ),
    of_texts(
        "c4",
        "perplexity of C4, the first of eight validation files",
        DatasetRef(
            "allenai/c4",
            ("text",),
            "en",
            data_files={"validation": "en/c4-validation.00000-of-00008.json.gz"},
        ),
        "validation",
        spec("c4", 1, detokenized=True),
    ),
    *(
        of_texts(
            f"paloma_{source}",
            f"perplexity of Paloma's {source}",
            DatasetRef("allenai/paloma", ("text",), source),
            "test",
            spec(f"paloma_{source}", 1),
        )
        for source in PALOMA
    ),
    *(
        of_texts(
            f"pile_{source}",
            f"perplexity of the Pile's {source}",
            DatasetRef("EleutherAI/pile", ("text",), f"pile_{source}"),
            "train",
            spec(f"pile_{source}", 2),
        )
        for source in PILE
    ),
    of_texts(
        "pile_10k",
        "perplexity of 10,000 texts of the Pile",
        DatasetRef("NeelNanda/pile-10k", ("text",)),
        "train",
        spec("pile_10k", 1),
    ),
]
