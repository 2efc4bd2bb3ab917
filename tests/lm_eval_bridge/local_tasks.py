"""Definitions in lm-eval's YAML over files of a test's own: what the installed ones at hand do not cover."""

import json
from pathlib import Path

TEXTS = [
    "A short text about nothing much.\n\nIt ends here.",
    "Ünïcödé counts bytes; words do not.",
    "long " * 1900,
]
QUIZ = [
    {
        "question": f"{n} + {n}?",
        "options": [str(n), str(2 * n), f"{3 * n} or more"],
        "right": n % 3,
        "answer": str(2 * n),
    }
    for n in range(1, 8)
]
PAIRS = [
    {"before": [f"The {n} ox", f"The {n} horses"], "after": "are here.", "right": n % 2} for n in range(4)
]

ROLLING = """
task: local_rolling
dataset_path: json
dataset_kwargs: {{data_files: {{test: {folder}/texts.jsonl}}}}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list:
  - metric: word_perplexity
  - metric: byte_perplexity
  - metric: bits_per_byte
metadata: {{version: 1.0}}
"""
CHOICE = """
task: local_choice
tag: local_tag
dataset_path: json
dataset_kwargs: {{data_files: {{test: {folder}/quiz.jsonl}}}}
output_type: multiple_choice
test_split: test
fewshot_split: test
num_fewshot: 2
doc_to_text: "Q: {{{{question}}}}\\nA:"
doc_to_choice: options
doc_to_target: right
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_mutual_info, aggregation: mean, higher_is_better: true}}
  - {{metric: mcc, aggregation: matthews_corrcoef, higher_is_better: true}}
  - {{metric: brier_score, aggregation: brier_score, higher_is_better: false}}
metadata: {{version: 2.0}}
"""
PAIRED = """
task: local_pairs
tag: [local_tag]
dataset_path: json
dataset_kwargs: {{data_files: {{test: {folder}/pairs.jsonl}}}}
output_type: multiple_choice
test_split: test
doc_to_text: "{{{{right}}}}"
doc_to_choice: before
doc_to_target: after
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
"""
GENERATED = """
task: local_texts
dataset_path: json
dataset_kwargs: {{data_files: {{test: {folder}/quiz.jsonl}}}}
output_type: generate_until
test_split: test
fewshot_split: test
num_fewshot: 1
repeats: 3
doc_to_text: !function code.question
doc_to_target: answer
generation_kwargs: {{until: ["\\n", "."], max_gen_toks: 12, do_sample: false}}
filter_list:
  - name: voted
    filter: [{{function: majority_vote}}, {{function: take_first}}]
  - name: first
    filter: [{{function: take_first}}]
metric_list:
  - {{metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}}
  - {{metric: bleu, aggregation: bleu, higher_is_better: true}}
"""
GROUP = """
group: local_group
task: [local_choice, local_pairs]
aggregate_metric_list:
  - {{metric: acc, weight_by_size: {weighted}}}
"""
CODE = """
def question(doc):
    return f"Question: {doc['question']}\\nAnswer:"
"""


def write(folder: Path) -> Path:
    """The folder with data, YAML files and the function that one of them names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("texts", [{"text": text} for text in TEXTS]), ("quiz", QUIZ), ("pairs", PAIRS)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    yaml = {"rolling": ROLLING, "choice": CHOICE, "pairs": PAIRED, "texts": GENERATED, "group": GROUP}
    for name, text in yaml.items():
        (folder / f"{name}.yaml").write_text(text.format(folder=folder, weighted="true"))
    other = GROUP.replace("local_group", "local_plain_mean").format(weighted="false")
    (folder / "plain_mean.yaml").write_text(other)
    (folder / "code.py").write_text(CODE)
    return folder
