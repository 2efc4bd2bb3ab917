"""Makes the reference run that CI gates fresh runs against: `make reference`.

The samples are kept without the benchmarks' texts: keys, hashes and verdicts are all that a comparison reads.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "results" / "reference" / "smollm2-135m"
RUN = ["run", "--tasks", "lm_eval/hellaswag,lm_eval/winogrande", "--model", "smollm2-135m", "--limit", "60"]
KEPT = ["doc", "subtask", "key", "status", "reason", "prediction", "metrics", "context_sha256"]


def evalsuite(*arguments: str) -> int:
    """Run the command line with this interpreter's package."""
    return subprocess.run([sys.executable, "-m", "evalsuite", *arguments], check=False).returncode


def make() -> None:
    """Replace the reference run."""
    with tempfile.TemporaryDirectory() as folder:
        if evalsuite(*RUN, "--out", folder):
            sys.exit("the run is not complete; the reference stays as it was")
        shutil.rmtree(REFERENCE, ignore_errors=True)
        (REFERENCE / "samples").mkdir(parents=True)
        for name in ("run.json", "table.md"):
            shutil.copy(Path(folder, name), REFERENCE / name)
        for table in Path(folder, "samples").glob("*.parquet"):
            pq.write_table(
                pq.read_table(table, columns=KEPT), REFERENCE / "samples" / table.name, compression="zstd"
            )


def gate() -> int:
    """A fresh run against the reference; the gate's exit code."""
    with tempfile.TemporaryDirectory() as folder:
        if evalsuite(*RUN, "--out", folder):
            return 1
        policy = str(REFERENCE.parent / "policy.yaml")
        return evalsuite("gate", "--baseline", str(REFERENCE), "--candidate", folder, "--policy", policy)


if __name__ == "__main__":
    sys.exit(gate() if "--gate" in sys.argv else make())
