"""A task as a run's spec asks for it."""

from evalsuite.registry.selected import Selected
from evalsuite.results.run_spec import RunSpec


def as_asked(selected: Selected, spec: RunSpec) -> Selected:
    """The task with the user's choices of BOS, texts and stride, each of which changes what is scored."""
    return selected.with_bos(spec.bos).with_texts(spec.texts, spec.stride)
