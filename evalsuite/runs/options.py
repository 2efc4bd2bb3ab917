"""What a run is asked for besides its tasks and its model, and how it is executed, each as one value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalsuite.errors import UnknownName
from evalsuite.runs.kept import Kept, KeptByNobody

if TYPE_CHECKING:
    from evalsuite.engine.replicas.supervisor import ReplicaConfig
    from evalsuite.runs.shards import Shard


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of `evalsuite.run` and `evalsuite.plan`; the command line's options make the same value."""

    recipe: str | None = None
    """Recipe of bare task names."""
    shots: int | None = None
    """Number of shots where an address gives none."""
    split: str | None = None
    """Evaluated split in place of the specs'."""
    limit: int | None = None
    """Documents per task, the first ones; member tasks (MMLU's subjects) are taken in turn."""
    sample: int | None = None
    """Documents per task, drawn at random by `seed` and spread over member tasks; a larger sample holds the
    smaller one."""
    seed: int = 0
    """Seed of sampled generation and of `sample`; shots follow the recipe's own seed."""
    data: str | Path | None = None
    """Folder with data sets in Hugging Face layout (default: EVALSUITE_DATA)."""
    include: Sequence[str | Path] = ()
    """Task files, or folders of task files and recipes."""
    text: Sequence[str | Path] = ()
    """Files and folders of the texts that task `text` scores."""
    text_field: str = "text"
    """Field or column of the text in JSON lines and Parquet."""
    text_domain: str | None = None
    """Field or column of a text's domain; by default its sub-folder, else its file's name."""
    stride: int | None = None
    """Tokens that each window of a held-out text scores, the others being their context; by default all but
    one of the window."""
    out: str | Path | None = None
    """Run folder (default: `results/runs/<model>-<hash>`); the same command there continues, also with a
    larger `limit` or `sample`."""
    store: str | Path | None = None
    """Response store to share between runs, in place of the run folder's own."""

    revision: str | None = None
    """Hub revision of the model."""
    model_config: str | None = None
    """Folder, alias or hub id with the configuration and tokenizer of a raw checkpoint."""
    adapter: str | None = None
    """Folder of a PEFT adapter that is merged into the model."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model."""
    verify_weights: bool = False
    """Hash all weights again instead of trusting size and date."""
    tokenizer: str | None = None
    """Folder, alias or hub id of another tokenizer than the model's."""
    bos: str | None = None
    """never, tokenizer or always: whether a BOS token begins each prompt, whatever the recipes say."""
    prefix_token: str | None = None
    """The token before a text without a context (as the vocabulary spells it, or its id); by default the BOS
    token, else the EOS token."""
    max_length: int | None = None
    """A shorter context window than the model's, in tokens."""

    engine: str = "native"
    """The engine that answers."""
    engine_args: Sequence[str] = ()
    """The engine's own settings, each `NAME=VALUE`."""
    base_url: str | None = None
    """Address of the server that the engine asks (the engine's setting of that name)."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps, or spread: layers over all GPUs (device_map)."""
    dtype: str = "auto"
    """auto (float32 on a CPU, bfloat16 on a GPU), float32, bfloat16 or float16."""
    logits_dtype: str = "float32"
    """float32, or model: rounded to the model's data type (lm-eval's HFLM does so)."""

    allow_data_drift: bool = False
    """Accept rows that are not the pinned ones, with a note."""
    allow_failures: bool = False
    """Score a task although documents failed; the count stands beside the score."""
    allow_unsafe_code: bool = False
    """Run model-written code under resource limits alone, where no sandbox works."""

    smoke: bool = True
    """Test the model before its first task: bits per byte of a passage and a program (`RunLog.smoke`)."""
    shard: str | None = None
    """Answer only share `i/n` of the requests, counted from 0; `merge` unites the shards' folders."""
    workers: int | None = None
    """Worker processes, each with a replica of the model; in a cluster by default as many as fit."""
    ray_address: str | None = None
    """The Ray cluster of the workers ("auto": the one on this machine); by default Ray is started."""
    gpus_per_replica: float | None = None
    """GPUs of each worker; by default 1 where the machine has any."""
    worker_timeout: float | None = None
    """Seconds of silence after which a worker is ended and another worker takes its part; by default 20 times
    what the slowest answer so far would mean for the part, and at least 10 minutes."""

    def with_overrides(self, overrides: Mapping[str, Any]) -> "RunOptions":
        """These options with other values for those that `overrides` names.

        Raises:
            UnknownName: an override names no option.
        """
        known = [field.name for field in fields(self)]
        for name in overrides:
            if name not in known:
                raise UnknownName("option", name, known)
        return replace(self, **overrides)


@dataclass(frozen=True)
class Execution:
    """How a run is executed: folders, tolerances, processes. None of it can change a score."""

    folder: Path | None
    """The run's folder; None if nothing is written."""
    data_dir: Path | None = None
    store: Path | None = None
    """A response store to share between runs, in place of the folder's own."""
    verify_weights: bool = False
    allow_failures: bool = False
    allow_unsafe_code: bool = False
    """Run model-written code under resource limits alone, where no sandbox works."""
    engine_tuning: tuple[str, ...] = ()
    """The engine's own settings that cannot change an answer, each `NAME=VALUE`."""
    shard: "Shard | None" = None
    """Answer this share of the requests and stop there; None for all of them."""
    workers: "ReplicaConfig | None" = None
    """Several processes, each with a replica of the model; None for this process alone."""
    smoke: bool = False
    """Test the model before its first task."""
    kept: Kept = field(default_factory=KeptByNobody, compare=False)
    """Keeps documents and encoded requests for the next run of a series."""
    notes: tuple[str, ...] = ()
    """Notes for the run log on how the run came about."""
