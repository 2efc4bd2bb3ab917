"""Prints the bytes that packs of full-size models need on a pretended GPU, beside their estimate.

python -m tests.engine.native.dry_run
"""

import tempfile
from pathlib import Path

from tests.engine.native.dry_run.engines import dry_run, endings
from tests.engine.native.facts import FACTS

for name, facts in FACTS.items():
    with tempfile.TemporaryDirectory() as folder, dry_run(facts, Path(folder)) as dry:
        requests = endings(18)
        plan = dry.engine.scorer.plan_packs(requests)
        for _ in dry.engine.score(requests):
            pass
        tokens = plan.inputs.tokens_of(plan.runs[0])
        needs, sizes = dry.engine.model.needs, dry.engine.limits.sizes
        estimate = needs.on_gpu(tokens, sizes.positions_per_chunk)
        figures = (needs.weights, dry.watch.peak, estimate)
        cells = " | ".join(f"{count / 2**30:.2f}" for count in figures)
        print(f"| {name} | {tokens:,} | {cells} |", flush=True)
