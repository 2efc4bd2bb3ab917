"""Prepares the documents of a definition; lm-eval renders their prompts."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from evalsuite.data import Rows
from evalsuite.data.fingerprint import fingerprint
from evalsuite.data.subset import Subset
from evalsuite.errors import DataError, UserError
from evalsuite.lm_eval_bridge.data import Loaded, data_from
from evalsuite.lm_eval_bridge.definition import Definition, cannot
from evalsuite.lm_eval_bridge.protocol import generation_settings
from evalsuite.lm_eval_bridge.quiet import FEWSHOT_SEED, code_metric_allowed, quiet, seeded
from evalsuite.lm_eval_bridge.rows import harness_question, plain_row
from evalsuite.lm_eval_bridge.verdicts import Scoring
from evalsuite.registry.selected import ForeignData, PreparedTask
from evalsuite.types import Document, Generation, Prompt, Row

if TYPE_CHECKING:
    from evalsuite.lm_eval_bridge.harness import HarnessTask
    from evalsuite.registry.selected import Selected


@dataclass(frozen=True)
class PreparedHarnessTask(PreparedTask):
    """Documents whose prompts lm-eval rendered."""

    texts: Mapping[int, Prompt] = field(default_factory=dict)
    """Prompts by index of the document."""
    shown_themselves: frozenset[int] = frozenset()
    """Indices of documents among their own shots, since lm-eval excludes a document only by split names."""

    @property
    def among_shots(self) -> int:
        """Number of documents that are among their own shots."""
        return sum(document.index in self.shown_themselves for document in self.documents)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes that belong to the score; the first one names the definition."""
        return (f"{self.selected.spec.source.notes} ({self.selected.spec.source.reference})", *super().notes)

    @property
    def shots_shown(self) -> list[int]:
        """Number of shots, which the definition sets, since they are part of its prompts."""
        return [self.selected.spec.shots.count] * len(self.documents)

    def prompt(self, index: int, most_shots: int | None = None) -> Prompt:
        """The prompt of a document; its shots cannot be removed."""
        return self.texts[self.documents[index].index]


@dataclass(frozen=True)
class HarnessMember:
    """One of lm-eval's task objects with its documents."""

    name: str
    task: Any
    """The `lm_eval.api.task.Task`."""
    docs: Sequence[Any]
    rows: list[Row]
    """The documents as JSON values."""


def prepare_harness_task(
    task: "HarnessTask", selected: "Selected", data_dir: Path | None, subset: Subset
) -> PreparedHarnessTask:
    """Load the data, build lm-eval's task objects and render the prompts of the selected documents.

    Raises:
        UserError: data or code is missing, or the definition needs requests that evalsuite does not support.
    """
    import lm_eval.utils

    with ExitStack() as stack:
        loaded = stack.enter_context(_as_lm_eval_starts(task, data_dir))
        # lm-eval compiles its templates again for every document (0.4.13, `utils.apply_template`).
        stack.enter_context(
            patch.object(lm_eval.utils.env, "from_string", lru_cache(256)(lm_eval.utils.env.from_string))
        )
        members = [_member(definition) for definition in task.members]
        chosen = _chosen([len(member.docs) for member in members], subset)
        documents: list[Document] = []
        texts: dict[int, Prompt] = {}
        instances: dict[int, list[Any]] = {}
        shown_themselves: set[int] = set()
        start = 0
        for member, doc_ids in zip(members, chosen, strict=True):
            subtask = member.name if task.is_group else ""
            for doc_id, (prompt, asked, among_shots) in _rendered(member, doc_ids):
                index = start + doc_id
                prompt = replace(prompt, bos=selected.spec.bos, encoding=selected.spec.how_encoded)
                question = harness_question(member.task, member.docs[doc_id])
                documents.append(Document(index, subtask, doc_id, member.rows[doc_id], question))
                texts[index], instances[index] = prompt, asked
                shown_themselves |= {index} if among_shots else set()
            start += len(member.docs)
    return PreparedHarnessTask(
        selected,
        selected.task.split,
        documents,
        [[] for _ in documents],
        {selected.task.split: _rows(selected, members, loaded)},
        Scoring(
            {member.name: member.task for member in members},
            instances,
            selected.spec.aggregation,
            task.is_group,
        ),
        subset=subset,
        available=sum(len(member.docs) for member in members),
        texts=texts,
        shown_themselves=frozenset(shown_themselves),
    )


def read_harness_data(task: "HarnessTask", selected: "Selected", data_dir: Path | None) -> ForeignData:
    """Load the data and build lm-eval's task objects; the splits that these read, and their documents.

    Raises:
        UserError: data or code is missing.
    """
    with _as_lm_eval_starts(task, data_dir) as loaded:
        members = [_member(definition) for definition in task.members]
        return ForeignData(
            _rows(selected, members, loaded), tuple(loaded.tables()), tuple(dict.fromkeys(loaded.elsewhere))
        )


@contextmanager
def _as_lm_eval_starts(task: "HarnessTask", data_dir: Path | None) -> Iterator[Loaded]:
    """lm-eval's random seeds, data from `data_dir` first, and none of its messages inside the block."""
    with ExitStack() as stack:
        stack.enter_context(quiet())
        stack.enter_context(seeded())
        if task.unsafe_code:
            stack.enter_context(code_metric_allowed())
        yield stack.enter_context(data_from(data_dir, _spare_splits(task.members)))


def _spare_splits(members: Sequence[Definition]) -> set[str]:
    """Splits that only provide shots, for definitions without shots."""
    spare: set[str] = set()
    for member in members:
        named = {
            str(member.raw.get(key))
            for key in ("training_split", "fewshot_split", "validation_split")
            if member.raw.get(key)
        }
        evaluated = member.raw.get("test_split") or member.raw.get("validation_split")
        spare |= named - {evaluated} if not member.shots else set()
    return spare


def _member(definition: Definition) -> HarnessMember:
    task = definition.build()
    if task.get_config("num_fewshot") is None:
        task.set_config(key="num_fewshot", value=0)
    task.set_fewshot_seed(seed=FEWSHOT_SEED)
    try:
        docs = list(task.eval_docs)
    except UserError:
        raise
    except Exception as error:  # `process_docs` is the definition's code.
        raise cannot("read its documents", definition.task_name, error) from error
    if not docs:
        raise DataError(f"lm-eval's definition '{definition.task_name}' has no documents.")
    return HarnessMember(definition.task_name, task, docs, [plain_row(doc) for doc in docs])


def _chosen(counts: Sequence[int], subset: Subset) -> list[list[int]]:
    """Indices of the selected documents of each member, within the member."""
    starts = [*accumulate(counts, initial=0)]
    members = [member for member, count in enumerate(counts) for _ in range(count)]
    chosen: list[list[int]] = [[] for _ in counts]
    for index in subset.indices(members):
        chosen[members[index]].append(index - starts[members[index]])
    return chosen


def _rendered(
    member: HarnessMember, doc_ids: Sequence[int]
) -> Iterator[tuple[int, tuple[Prompt, list[Any], bool]]]:
    """Prompts of the documents `doc_ids`, ascending.

    lm-eval draws the shots of all documents from one stream, so that earlier documents are rendered, too.
    """
    selected = set(doc_ids)
    draws = member.task.config.num_fewshot and doc_ids
    for doc_id in range(doc_ids[-1] + 1) if draws else doc_ids:
        try:
            asked = _asked(member, doc_id)
            if doc_id in selected:
                yield doc_id, asked
        except UserError:
            raise
        except Exception as error:  # Templates and functions of the definition can raise any error.
            raise cannot(f"render document {doc_id}", member.name, error) from error


def _asked(member: HarnessMember, doc_id: int) -> tuple[Prompt, list[Any], bool]:
    """Prompt, lm-eval's requests (0.4.13, `Task.build_all_requests`), and whether the document is a shot."""
    task, doc = member.task, member.docs[doc_id]
    with _drawn_shots(task) as shots:
        context = task.fewshot_context(
            doc,
            num_fewshot=task.config.num_fewshot or 0,
            system_instruction=None,
            apply_chat_template=False,
            fewshot_as_multiturn=False,
            chat_template=None,
            gen_prefix=task.doc_to_prefix(doc),
        )
    made = task.construct_requests(
        doc=doc,
        ctx=context,
        metadata=(member.name, doc_id, task.config.repeats),
        apply_chat_template=False,
        chat_template=None,
    )
    instances = sorted(made if isinstance(made, list) else [made], key=lambda instance: instance.idx)
    among_shots = any(plain_row(shot) == member.rows[doc_id] for shot in shots)
    return _prompt(member.name, instances), instances, among_shots


@contextmanager
def _drawn_shots(task: Any) -> Iterator[list[Any]]:
    """The documents that lm-eval's sampler draws inside the block."""
    drawn: list[Any] = []
    sampler = getattr(task, "sampler", None)
    if sampler is None:  # Tasks on whole texts draw no shots.
        yield drawn
        return
    sample = sampler.sample

    def recorded(*args: Any, **options: Any) -> Any:
        found = sample(*args, **options)
        drawn.extend(found)
        return found

    with patch.object(sampler, "sample", recorded):
        yield drawn


def _prompt(name: str, instances: Sequence[Any]) -> Prompt:
    kinds = {instance.request_type for instance in instances}
    if len(kinds) > 1 or (kinds != {"loglikelihood"} and len(instances) > 1):
        raise UserError(
            f"lm-eval's definition '{name}' needs several texts or kinds of request per document, which "
            "evalsuite does not support: lm-eval run --model evalsuite."
        )
    arguments = [instance.args for instance in instances]
    match kinds.pop():
        case "loglikelihood":
            contexts = tuple(context for context, _ in arguments)
            same = len(set(contexts)) == 1
            return Prompt(
                contexts[:1] if same else contexts, tuple(text for _, text in arguments), bos="tokenizer"
            )
        case "loglikelihood_rolling":
            return Prompt(("",), (arguments[0][0],), bos="tokenizer", join="rolling")
        case _:
            context, settings = arguments[0]
            spec = generation_settings(settings, f"lm-eval's definition '{name}'")
            samples = instances[0].repeats if spec.temperature > 0 else 1
            return Prompt((context,), generation=_generation(spec.settings(), samples or 1), bos="tokenizer")


def _generation(settings: Generation, samples: int) -> Generation:
    return Generation(settings.stop, settings.max_tokens, settings.temperature, settings.top_p, samples)


def _rows(selected: "Selected", members: Sequence[HarnessMember], loaded: Loaded) -> Rows:
    rows = [dict(row) for member in members for row in member.rows]
    source = ", ".join(dict.fromkeys(loaded.sources)) or selected.task.data.id
    return Rows(rows, fingerprint(rows), source, tuple(dict.fromkeys(loaded.notes)))


__all__ = ["PreparedHarnessTask", "prepare_harness_task", "read_harness_data"]
