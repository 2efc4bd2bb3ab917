"""Makes the reference run for CI's gate (`make reference`), or gates a fresh run against it (`--gate`).

The samples omit the benchmarks' texts: a comparison reads only keys, hashes and verdicts.
"""

import argparse
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
    """Run evalsuite's command line with this interpreter."""
    return subprocess.run([sys.executable, "-m", "evalsuite", *arguments], check=False).returncode


def make() -> None:
    """Replace the reference run."""
    with tempfile.TemporaryDirectory() as folder:
        if evalsuite(*RUN, "--out", folder):
            sys.exit("the run is not complete; the reference is unchanged")
        shutil.rmtree(REFERENCE, ignore_errors=True)
        (REFERENCE / "samples").mkdir(parents=True)
        for name in ("run.json", "table.md"):
            shutil.copy(Path(folder, name), REFERENCE / name)
        for table in Path(folder, "samples").glob("*.parquet"):
            pq.write_table(
                pq.read_table(table, columns=KEPT), REFERENCE / "samples" / table.name, compression="zstd"
            )


def gate() -> int:
    """Gate a fresh run against the reference; returns the gate's exit code."""
    with tempfile.TemporaryDirectory() as folder:
        if evalsuite(*RUN, "--out", folder):
            return 1
        policy = str(REFERENCE.parent / "policy.yaml")
        return evalsuite("gate", "--baseline", str(REFERENCE), "--candidate", folder, "--policy", policy)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gate", action="store_true", help="gate a fresh run against the reference")
    sys.exit(gate() if parser.parse_args().gate else make())
