"""The 22 tasks of CORE (DCLM, Li et al. 2024, arXiv:2406.11794), on the evaluation files of llm-foundry.

The rows are not those of the hub's data sets: llm-foundry cut and changed some. Its files have errors that
every published CORE value shares, and nothing is corrected here (docs/suites.md lists them).

The id `core/<name>` is evalsuite's own. In a data folder, `core/<name>/test.jsonl` is the file in `FILES`
of mosaicml/llm-foundry, scripts/eval/local_data, as it is.
"""

from dataclasses import replace

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.task import Task
from evalsuite.types import ClozePair, MultipleChoice, OpenAnswer, Row

FILES = {
    "hellaswag": "language_understanding/hellaswag.jsonl",
    "jeopardy": "world_knowledge/jeopardy_all.jsonl",
    "bigbench_qa_wikidata": "world_knowledge/bigbench_qa_wikidata.jsonl",
    "arc_easy": "world_knowledge/arc_easy.jsonl",
    "arc_challenge": "world_knowledge/arc_challenge.jsonl",
    "copa": "commonsense_reasoning/copa.jsonl",
    "commonsense_qa": "commonsense_reasoning/commonsense_qa.jsonl",
    "piqa": "commonsense_reasoning/piqa.jsonl",
    "openbook_qa": "commonsense_reasoning/openbook_qa.jsonl",
    "lambada_openai": "language_understanding/lambada_openai.jsonl",
    "winograd": "language_understanding/winograd_wsc.jsonl",
    "winogrande": "language_understanding/winogrande.jsonl",
    "bigbench_dyck_languages": "symbolic_problem_solving/bigbench_dyck_languages.jsonl",
    "agi_eval_lsat_ar": "symbolic_problem_solving/agi_eval_lsat_ar.jsonl",
    "bigbench_cs_algorithms": "symbolic_problem_solving/bigbench_cs_algorithms.jsonl",
    "bigbench_operators": "symbolic_problem_solving/bigbench_operators.jsonl",
    "bigbench_repeat_copy_logic": "symbolic_problem_solving/bigbench_repeat_copy_logic.jsonl",
    "squad": "reading_comprehension/squad.jsonl",
    "coqa": "reading_comprehension/coqa.jsonl",
    "boolq": "reading_comprehension/boolq.jsonl",
    "bigbench_language_identification": "language_understanding/bigbench_language_identification.jsonl",
}
"""Files below scripts/eval/local_data of llm-foundry (8c8dd48; the same in release 0.9.0)."""


def choice_of(row: Row) -> MultipleChoice:
    return MultipleChoice(row["query"], tuple(row["choices"]), row["gold"])


def schema_of(row: Row) -> ClozePair:
    return ClozePair(tuple(row["context_options"]), row["continuation"], row["gold"])


def text_of(row: Row) -> OpenAnswer:
    return OpenAnswer(row["context"], (row["continuation"],))


def rows_of(name: str, columns: tuple[str, ...], rows: int, fingerprint: str) -> DatasetRef:
    return DatasetRef(
        f"core/{name}",
        columns,
        splits={"test": Pin(rows, fingerprint)},
        published=f"the file scripts/eval/local_data/{FILES[name]} of github.com/mosaicml/llm-foundry",
    )


def choices(name: str, title: str, options: int, rows: int, fingerprint: str) -> Task:
    data = rows_of(name, ("query", "choices", "gold"), rows, fingerprint)
    return Task(f"core_{name}", title, data, "test", choice_of, 1 / options, comparability=1)


def schema(name: str, title: str, rows: int, fingerprint: str) -> Task:
    data = rows_of(name, ("context_options", "continuation", "gold"), rows, fingerprint)
    return Task(f"core_{name}", title, data, "test", schema_of, 1 / 2, comparability=1)


def text(name: str, title: str, rows: int, fingerprint: str) -> Task:
    data = rows_of(name, ("context", "continuation"), rows, fingerprint)
    return Task(f"core_{name}", title, data, "test", text_of, None, comparability=1)


def by_category(task: Task, fingerprint: str) -> Task:
    """The task with the rows' categories as member tasks, as llm-foundry evaluates Jeopardy."""
    [pin] = task.data.splits.values()
    columns = (*task.data.columns, "category")
    data = replace(task.data, columns=columns, splits={"test": Pin(pin.rows, fingerprint)})
    return replace(task, name=f"{task.name}_by_category", data=data, subtask=lambda row: row["category"])


JEOPARDY = text(
    "jeopardy",
    "the answer to a quiz show's clue",
    2117,
    "390d3e86fc5aaeb703fc8cb53a34f706f9456a55e9443b1586ee7f97f1ea6ed9",
)
TASKS = [
    choices(
        "hellaswag",
        "how a described scene goes on",
        4,
        10042,
        "948a49cb874dc70aef73264b196f2a54b13ee163139b3572b6dafef6895dbf9c",
    ),
    JEOPARDY,
    text(
        "bigbench_qa_wikidata",
        "the end of a sentence that states a fact",
        20321,
        "50859dab4a7b2da010f874980915d533a61ad3637a1668520af9c56ddf207f55",
    ),
    choices(
        "arc_easy",
        "science exam questions, easy set",
        4,
        2376,
        "b6c98921d7ae752174b3f69b10a604af86c2de46a6cfb7bbd703f48feecf84f4",
    ),
    choices(
        "arc_challenge",
        "science exam questions, challenge set",
        4,
        1172,
        "466d111f6338b4d5aad21ecc443b0e88586624e76a08aae954f081b92af6a1c7",
    ),
    choices(
        "copa",
        "the cause or effect of an event",
        2,
        100,
        "5e63b39b3a12f6bf6cc4d590c085ef93fac2fdf47ffd46898795d051fd46f5e9",
    ),
    choices(
        "commonsense_qa",
        "everyday concepts, four of five options",
        4,
        1221,
        "4a094d70e5a68d546903e2d0b14f1984b3047f04586e6b6300ac2c06a16610e0",
    ),
    choices(
        "piqa",
        "which of two solutions is physically sensible",
        2,
        1838,
        "23699466466a7e78876c27c3112fcf6680833e9a242cc094a564f99566e64b9a",
    ),
    choices(
        "openbook_qa",
        "elementary science with a hidden fact",
        4,
        500,
        "960649f13dc80cac1ab1d2c029c5004f691cc9e7aad6f28788f64a27a84e381f",
    ),
    text(
        "lambada_openai",
        "the last word of a passage",
        5153,
        "1aa0d3ec1e6bdeab318f02d887a6b349f6a6165453ddfd17f66d722836ef9d19",
    ),
    schema(
        "winograd",
        "whom a pronoun means",
        273,
        "48d91273f7623bdd264706b6f3b1d20b711af02de73124e4ca1e8ae71e50b2fb",
    ),
    schema(
        "winogrande",
        "which name fits the gap",
        1267,
        "b7fe4a2f3a386b0ae20bc80f7789ceff6289207af2989cfde7163e04911edbf0",
    ),
    text(
        "bigbench_dyck_languages",
        "the closing brackets of a sequence",
        1000,
        "d3dd8e8fddc60371cc7a7da0ead3f7d47574b7101d21c9ffd3ff92b99333efa4",
    ),
    choices(
        "agi_eval_lsat_ar",
        "puzzles of a law school test, four of five options",
        4,
        230,
        "2105ff23592b8fc5bf7e256d2c82b0fcdbe5046d578be3b2aff2760737d95125",
    ),
    text(
        "bigbench_cs_algorithms",
        "results of two algorithms",
        1320,
        "0a4981f882b50ce69aa4004539620538527de3fc696a8ecbc5afc13368d54219",
    ),
    text(
        "bigbench_operators",
        "results of operators defined in the question",
        210,
        "7ac3b08c581f69a05e13a8efa9ecc41d6675ae3458574dc3a91cf188a99b39d5",
    ),
    text(
        "bigbench_repeat_copy_logic",
        "repetitions by instruction",
        32,
        "621d8c9bce2983855c09dbd99f8dd893d3516d1a43fafc70c623a7f48f125b04",
    ),
    text(
        "squad",
        "a span of a Wikipedia passage",
        10570,
        "086ad165c6cb49b65a80e2643cb8e2636dfbcc0196e37e980ca9c8d76105a234",
    ),
    text(
        "coqa",
        "the last question of a conversation about a story",
        7983,
        "59b5738dc5c9ad1feb5d4ebdf2e75761e88971ad681c8bfb8c0749f84d0eb028",
    ),
    choices(
        "boolq",
        "yes-no questions about a passage",
        2,
        3270,
        "fc01f86b89cba5f186a5d5faa20a172fca0dc68f56043749167b91c64f4ad79c",
    ),
    choices(
        "bigbench_language_identification",
        "the language of a sentence",
        4,
        10000,
        "9e2c8cb3caa985b5a3c9008916b92db4d75a7c515f30787d3c729bb9b6fc0f0f",
    ),
    by_category(JEOPARDY, "e82659f616544777cebcf50031fd1701a249747adbf71b889b0284111c6e6a69"),
]
