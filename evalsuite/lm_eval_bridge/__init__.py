"""Connects evalsuite and lm-evaluation-harness: its tasks, its command, and its results.

`index`, `definition`, `protocol`, `harness`, `documents`, `verdicts`: evalsuite runs tasks that only lm-eval
defines. `model`, `register`, `__main__`: evalsuite's engine as a model of lm-eval. `importing`, `imported`,
`records`, `results_files`: imports results of lm-eval as a run folder.
"""
