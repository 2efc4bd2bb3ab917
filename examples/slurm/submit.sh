#!/bin/bash
# TASKS=mmlu,gsm8k MODEL=/models/checkpoint-12000 RUN=/runs/12000 ./submit.sh [NUMBER OF SHARDS]
set -euo pipefail

export TASKS MODEL RUN SHARDS=${1:-8}
: "${TASKS:?}" "${MODEL:?}" "${RUN:?}"
here=$(cd "$(dirname "$0")" && pwd)

array=$(sbatch --parsable --export=ALL --array="0-$((SHARDS - 1))" "$here/shards.sbatch")
sbatch --export=ALL --dependency="afterany:${array%%;*}" "$here/merge.sbatch"
