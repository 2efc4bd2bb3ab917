"""The golden files of prompts, and the addresses that must reproduce them.

`prompts/` has the files of the first recipes, `suites/prompts/` those of the suites; each folder has an
`index.json` and the first draws of its shots.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from tests.golden.golden import GOLDEN, SHARED

FOLDERS = (GOLDEN / "prompts", GOLDEN / "suites" / "prompts")
CORE_CUT = (
    "arc_challenge@10",
    "arc_easy@10",
    "bigbench_cs_algorithms@10",
    "bigbench_dyck_languages@10",
    "bigbench_language_identification@10",
    "bigbench_qa_wikidata@10",
    "boolq@10",
    "commonsense_qa@10",
    "hellaswag@10",
    "jeopardy@10",
    "piqa@10",
    "squad@10",
)
"""CORE's tasks of more than 500 rows with shots, which have other shots if the rows are cut to 500."""
CORE = (
    *CORE_CUT,
    "agi_eval_lsat_ar@3",
    "bigbench_operators@10",
    "bigbench_repeat_copy_logic@10",
    "copa@0",
    "coqa@0",
    "hellaswag_zeroshot@0",
    "lambada_openai@0",
    "openbook_qa@0",
    "winograd@0",
    "winogrande@0",
)
ADDRESSES = {
    "nemotron_h/adlr_arc_challenge_llama@25": "nemotron_h/arc_challenge",
    "nemotron_h/adlr_gsm8k_fewshot_cot@8": "nemotron_h/gsm8k",
    "nemotron_h/adlr_humaneval_greedy@0": "nemotron_h/humaneval",
    "nemotron_h/adlr_humanevalplus_greedy@0": "nemotron_h/humaneval_plus",
    "nemotron_h/adlr_mbpp_sanitized_3shot_greedy@3": "nemotron_h/mbpp",
    "nemotron_h/adlr_mbppplus_greedy_sanitized@0": "nemotron_h/mbpp_plus",
    "nemotron_h/adlr_minerva_math_nemo@4": "nemotron_h/math",
    "nemotron_h/adlr_mmlu_pro_5_shot_base@5": "nemotron_h/mmlu_pro",
    "nemotron_h/commonsense_qa@7": "nemotron_h/commonsense_qa",
    "nemotron_h/hellaswag@10": "nemotron_h/hellaswag",
    "nemotron_h/mmlu@5": "nemotron_h/mmlu",
    "nemotron_h/mmlu_str@5": "nemotron_h/mmlu_generate",
    "nemotron_h/winogrande@5": "nemotron_h/winogrande",
    "lm_eval/arc_challenge@0": "lm_eval/arc_challenge",
    "lm_eval/arc_challenge@5": "lm_eval/arc_challenge@5",
    "lm_eval/arc_challenge@25": "lm_eval/arc_challenge@25",
    "lm_eval/arc_easy@0": "lm_eval/arc_easy",
    "lm_eval/boolq@0": "lm_eval/boolq",
    "lm_eval/commonsense_qa@0": "lm_eval/commonsense_qa",
    "lm_eval/commonsense_qa@7": "lm_eval/commonsense_qa@7",
    "lm_eval/gsm8k@5": "lm_eval/gsm8k",
    "lm_eval/gsm8k_cot@8": "lm_eval/gsm8k_cot",
    "lm_eval/hellaswag@0": "lm_eval/hellaswag",
    "lm_eval/hellaswag@10": "lm_eval/hellaswag@10",
    "lm_eval/hendrycks_math500@0": "lm_eval/hendrycks_math500",
    "lm_eval/humaneval@0": "lm_eval/humaneval",
    "lm_eval/humaneval_plus@0": "lm_eval/humaneval_plus",
    "lm_eval/lambada_openai@0": "lm_eval/lambada_openai",
    "lm_eval/mbpp@3": "lm_eval/mbpp",
    "lm_eval/mbpp_plus@3": "lm_eval/mbpp_plus",
    "lm_eval/minerva_math@4": "lm_eval/minerva_math",
    "lm_eval/minerva_math500@4": "lm_eval/minerva_math500",
    "lm_eval/mmlu@0": "lm_eval/mmlu",
    "lm_eval/mmlu@5": "lm_eval/mmlu@5",
    "lm_eval/mmlu_pro@5": "lm_eval/mmlu_pro",
    "lm_eval/nq_open_validation@0": "lm_eval/nq_open",
    "lm_eval/openbookqa@0": "lm_eval/openbookqa",
    "lm_eval/piqa@0": "lm_eval/piqa",
    "lm_eval/sciq_validation@0": "lm_eval/sciq",
    "lm_eval/triviaqa_wiki_validation@0": "lm_eval/triviaqa",
    "lm_eval/tydiqa_goldp@0": "lm_eval/tydiqa_goldp",
    "lm_eval/tydiqa_goldp_en@1": "lm_eval/tydiqa_goldp_en@1",
    "lm_eval/tydiqa_goldp_ko@1": "lm_eval/tydiqa_goldp_ko@1",
    "lm_eval/tydiqa_goldp_sw@1": "lm_eval/tydiqa_goldp_sw@1",
    "lm_eval/webqs@0": "lm_eval/webqs",
    "lm_eval/winogrande@0": "lm_eval/winogrande",
    "lm_eval/winogrande@5": "lm_eval/winogrande@5",
    "nemotron_base_26_3/adlr_agieval_en_cot@3-5": "nemotron_base/agieval_en",
    "nemotron_base_26_3/adlr_arc_challenge_llama_25_shot@25": "nemotron_base/arc_challenge",
    "nemotron_base_26_3/adlr_commonsense_qa_7_shot@7": "nemotron_base/commonsense_qa",
    "nemotron_base_26_3/adlr_global_mmlu_lite_5_shot@5": "nemotron_base/global_mmlu_lite",
    "nemotron_base_26_3/adlr_gpqa_diamond_cot_5_shot@5": "nemotron_base/gpqa_diamond",
    "nemotron_base_26_3/adlr_gsm8k_cot_8_shot@8": "nemotron_base/gsm8k",
    "nemotron_base_26_3/adlr_humaneval_greedy@0": "nemotron_base/humaneval",
    "nemotron_base_26_3/adlr_humaneval_sampled@0": "nemotron_base/humaneval_sampled",
    "nemotron_base_26_3/adlr_math_500_4_shot_sampled@4": "nemotron_base/math_500_sampled",
    "nemotron_base_26_3/adlr_mbpp_sanitized_3_shot_greedy@3": "nemotron_base/mbpp",
    "nemotron_base_26_3/adlr_mbpp_sanitized_3_shot_sampled@3": "nemotron_base/mbpp_sampled",
    "nemotron_base_26_3/adlr_mgsm_native_cot_8_shot@8": "nemotron_base/mgsm_native",
    "nemotron_base_26_3/adlr_minerva_math_nemo_4_shot@4": "nemotron_base/math",
    "nemotron_base_26_3/adlr_mmlu@5": "nemotron_base/mmlu",
    "nemotron_base_26_3/adlr_mmlu_pro_5_shot_base@5": "nemotron_base/mmlu_pro",
    "nemotron_base_26_3/adlr_race@0": "nemotron_base/race",
    "nemotron_base_26_3/adlr_winogrande_5_shot@5": "nemotron_base/winogrande",
    "nemotron_base_26_3/hellaswag@10": "nemotron_base/hellaswag",
    "nemotron_base_26_3/openbookqa@0": "nemotron_base/openbookqa",
    "nemotron_base_26_3/piqa@0": "nemotron_base/piqa",
    "nemotron_base_26_3/social_iqa@0": "nemotron_base/social_iqa",
    **{f"core/{name}": f"core/{name.partition('@')[0]}" for name in CORE},
    **{f"core/{name.replace('@', '_500@')}": f"core/{name.partition('@')[0]}:500" for name in CORE_CUT},
    **{f"core_dclm/{name}": f"core_dclm/{name.partition('@')[0]}" for name in CORE},
}
"""Golden file -> the address that must reproduce it. No shots are given where the spec's must be right."""
MEMBERS = {
    "nemotron_h/adlr_minerva_math_nemo@4": "adlr_minerva_math_{}_nemo",
    "nemotron_h/adlr_mmlu_pro_5_shot_base@5": "adlr_mmlu_pro_5_shot_base_{}",
    "nemotron_h/mmlu_str@5": "mmlu_str_{}",
    "core_dclm/jeopardy@10": "{}",
    "nemotron_base_26_3/adlr_agieval_en_cot@3-5": "adlr_agieval_{}_cot",
    "nemotron_base_26_3/adlr_global_mmlu_lite_5_shot@5": "global_mmlu_{}",
    "nemotron_base_26_3/adlr_mgsm_native_cot_8_shot@8": "adlr_mgsm_native_cot_8_shot_{}",
    "nemotron_base_26_3/adlr_minerva_math_nemo_4_shot@4": "adlr_minerva_math_{}_nemo",
    "nemotron_base_26_3/adlr_mmlu@5": "mmlu_str_{}",
    "nemotron_base_26_3/adlr_mmlu_pro_5_shot_base@5": "adlr_mmlu_pro_5_shot_base_{}",
}
"""What the reference calls member tasks, where it has another name for the task."""


class GoldenFile(NamedTuple):
    """Hashes of the prompts of one task."""

    name: str
    """Path in its folder, without suffix: recipe, task and shots."""
    folder: Path
    entry: dict[str, Any]
    """Its entry in the folder's index."""

    @property
    def draws(self) -> dict[str, Any] | None:
        """The row numbers of the first documents' shots, where they are drawn at random."""
        return _json(self.folder / "fewshot_draws.json").get(self.name)

    @property
    def data(self) -> Path:
        """The data root; invented rows are in one of their own."""
        return SHARED / "synthetic" if self.entry.get("synthetic") else SHARED


def golden_files() -> dict[str, GoldenFile]:
    """All golden files by name, from the indexes."""
    entries = [(folder, entry) for folder in FOLDERS for entry in _json(folder / "index.json")["files"]]
    return {
        (name := entry["file"].removesuffix(".parquet")): GoldenFile(name, folder, entry)
        for folder, entry in entries
    }


@cache
def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))
