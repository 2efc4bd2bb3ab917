"""Rows in the schemas of BBH, DROP, AGIEval, TriviaQA, CRUXEval, RACE, MMLU-Redux and C-Eval, all of them
invented: what lm-eval's definitions of these need, in the hub's layout.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.data.tiny_mirror import TinyMirror

Rows = list[dict[str, Any]]

WORDS = ("apple", "river", "seven", "cloud", "tower")


def bbh() -> Rows:
    return [
        {"input": f"Is {n} + 1 equal to {n + n % 2 + 1}? Options:\n(A) yes\n(B) no", "target": answer}
        for n, answer in enumerate(("(A)", "no", "True", "apple river", "2"))
    ]


def drop() -> Rows:
    """An answer is a number, a date or spans; further annotators' answers are columns of lists."""
    date = {"day": "", "month": "", "year": ""}
    spring = {"day": "3", "month": "May", "year": "1901"}
    answers = [
        {"number": "7", "date": date, "spans": []},
        {"number": "", "date": spring, "spans": []},
        {"number": "", "date": date, "spans": ["the river", "the tower"]},
    ]
    return [
        {
            "section_id": f"section {n}",
            "query_id": f"query {n}",
            "passage": f"The team scored {n + 5} points at the river on 3 May 1901 and 2 at the tower.",
            "question": f"What happened in part {n}?",
            "answer": {**answer, "worker_id": "w", "hit_id": "h"},
            "validated_answers": {
                "number": [answer["number"], "8"],
                "date": [answer["date"], date],
                "spans": [answer["spans"], []],
                "worker_id": ["w", "x"],
                "hit_id": ["h", "i"],
            },
        }
        for n, answer in enumerate(answers)
    ]


def agieval_choices() -> Rows:
    """`gold` is a list: some items of AGIEval have several right answers."""
    return [
        {
            "query": f"Q: Which has place {n}? Answer Choices: (A)one (B)two (C)three\nA: Among A through C,",
            "choices": ["(A)one", "(B)two times", "(C)three"],
            "gold": [n % 3] if n else [0, 2],
        }
        for n in range(4)
    ]


def agieval_open() -> Rows:
    return [
        {"query": f"Q: What is {n} halves?\nA: The answer is", "answer": answer}
        for n, answer in enumerate((r"\frac{1}{2}", "$x=3$", "0.5"))
    ]


def trivia() -> Rows:
    return [
        {
            "question": f"Which word has place {n}",
            "question_id": f"tc_{n}",
            "question_source": "http://www.example.com/",
            "entity_pages": [],
            "search_results": [],
            "answer": {
                "aliases": [word.title(), word],
                "normalized_aliases": [word],
                "matched_wiki_entity_name": "",
                "normalized_matched_wiki_entity_name": "",
                "normalized_value": word,
                "type": "WikipediaEntity",
                "value": word,
            },
        }
        for n, word in enumerate(WORDS)
    ]


def cruxeval() -> Rows:
    """Numbers, and a string as the last output."""
    return [
        *(
            {
                "code": f"def f(text):\n    return len(text) * {n}",
                "input": "'ab'",
                "output": str(2 * n),
                "id": f"sample_{n}",
            }
            for n in range(2)
        ),
        {"code": "def f(text):\n    return text", "input": "'ab'", "output": "'ab'", "id": "sample_2"},
    ]


def race() -> Rows:
    """`problems` is a Python literal as text; a question is a sentence with a gap or a question."""
    options = ["in the tower", "by the river", "under a cloud", "at home"]
    return [
        {
            "article": f"Story {n}. The apple lies by the river, and the tower is far away.",
            "problems": str(
                [
                    {"question": "The apple lies  _  .", "answer": "B", "options": options},
                    {"question": "What is far away?", "answer": "A", "options": options},
                    {"question": f"Where does story {n} end?", "answer": "ABCD"[n], "options": options},
                ]
            ),
        }
        for n in range(3)
    ]


def mmlu_redux() -> Rows:
    return [
        {
            "question": f" Which of these is number {n}? ",
            "choices": ["one", "two", "three", "four"],
            "answer": n,
            "error_type": "ok",
            "source": "example",
            "correct_answer": None,
            "potential_reason": "",
        }
        for n in range(4)
    ]


def ceval() -> Rows:
    return [
        {
            "id": n,
            "question": f"第{n}个数字是几？ ",
            "A": "一",
            "B": "二",
            "C": "三",
            "D": "四",
            "answer": "ABCD"[n % 4],
            "explanation": "",
        }
        for n in range(6)
    ]


AGIEVAL_OPEN = ("gaokao-mathcloze", "math")
AGIEVAL_CHOICES = [
    *("aqua-rat", "logiqa-en", "logiqa-zh", "lsat-ar", "lsat-lr", "lsat-rc", "jec-qa-ca", "jec-qa-kd"),
    *("sat-en-without-passage", "sat-en", "sat-math", "gaokao-mathqa", "gaokao-physics", "gaokao-history"),
    *("gaokao-biology", "gaokao-chemistry", "gaokao-chinese", "gaokao-english", "gaokao-geography"),
]


def datasets(
    bbh_tasks: list[str], redux: list[str], ceval_tasks: list[str]
) -> Iterator[tuple[str, str, str, Rows]]:
    """(id, configuration, split, rows) of every split that the definitions read."""
    yield from (("SaylorTwift/bbh", name, "test", bbh()) for name in bbh_tasks)
    yield from (("EleutherAI/drop", "default", split, drop()) for split in ("train", "validation"))
    yield from ((f"hails/agieval-{name}", "default", "test", agieval_choices()) for name in AGIEVAL_CHOICES)
    yield from ((f"hails/agieval-{name}", "default", "test", agieval_open()) for name in AGIEVAL_OPEN)
    yield from (
        ("mandarjoshi/trivia_qa", "rc.nocontext", split, trivia()) for split in ("train", "validation")
    )
    yield "cruxeval-org/cruxeval", "default", "test", cruxeval()
    yield "EleutherAI/race", "high", "test", race()
    yield from (("fxmarty/mmlu-redux-2.0-ok", name, "test", mmlu_redux()) for name in redux)
    yield from (
        ("ceval/ceval-exam", name, split, ceval()) for name in ceval_tasks for split in ("val", "dev")
    )


def write(folder: Path, bbh_tasks: list[str], redux: list[str], ceval_tasks: list[str]) -> Path:
    """A data folder with all of them, for definitions with these configurations."""
    mirror = TinyMirror(folder)
    configs: dict[str, dict[str, list[dict[str, str]]]] = {}
    for id, config, split, rows in datasets(bbh_tasks, redux, ceval_tasks):
        path = f"{config}/{split}-00000-of-00001.parquet"
        mirror.write(id, path, rows)
        configs.setdefault(id, {}).setdefault(config, []).append({"split": split, "path": path})
    for id, own in configs.items():
        mirror.declare(id, *({"config_name": name, "data_files": files} for name, files in own.items()))
    return folder
