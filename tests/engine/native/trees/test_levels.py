"""Every token sees, through the levels, exactly what it sees in the tree."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.engine.native.reach import Reach
from evalsuite.engine.native.trees.levels import levels_of
from evalsuite.engine.planning.pack import Pack, lay
from evalsuite.engine.planning.plan import sort_inputs, sortable

sequences = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9).map(tuple), min_size=1, max_size=12)


def pack_of(rows) -> Pack:
    inputs, _ = sort_inputs({sortable(row) for row in rows})
    return lay(inputs, range(len(inputs)), [1] * len(inputs))[0]


REACHES = [
    Reach(),
    *(Reach(window) for window in (1, 2, 4, 20)),
    *(Reach(chunk=chunk) for chunk in (1, 2, 3, 5, 20)),
]


def is_near(reach: Reach, query: int, key: int) -> bool:
    """Whether a token sees so far back, in other words than `Reach`'s."""
    if reach.window:
        return query - key < reach.window
    return not reach.chunk or query // reach.chunk == key // reach.chunk


def seen(pack: Pack, reach: Reach) -> np.ndarray:
    """(tokens, tokens) whether a token sees another: by walking up from it."""
    matrix = np.zeros((len(pack), len(pack)), int)
    for token in range(len(pack)):
        other = token
        while other >= 0 and is_near(reach, pack.depths[token], pack.depths[other]):
            matrix[token, other] = 1
            other = pack.parents[other]
    return matrix


@settings(max_examples=200, deadline=None)
@given(sequences, st.sampled_from(REACHES))
def test_each_pair_that_sees_is_in_one_place_and_no_other_is(rows, reach):
    pack = pack_of(rows)
    levels = levels_of(pack, reach)
    found = np.zeros((len(pack), len(pack)), int)
    for start, stop in zip(levels.edges, levels.edges[1:], strict=False):
        for token in range(start, stop):
            found[token, max(start, token - reach.window + 1 if reach.window else 0) : token + 1] += 1
    for level in levels.levels:
        assert len(level.key_edges) == len(level.query_edges)
        for at in range(len(level.key_edges) - 1):
            keys = level.keys[level.key_edges[at] : level.key_edges[at + 1]]
            queries = level.queries[level.query_edges[at] : level.query_edges[at + 1]]
            assert len(keys)
            assert len(queries)
            found[np.ix_(queries, keys)] += 1
    for keys, queries in levels.partly:
        near = reach.sees(pack.depths[queries, None], pack.depths[None, keys])
        assert not near.all()
        found[queries, keys] += near
    assert (found == seen(pack, reach)).all()


@given(sequences)
def test_there_are_as_many_levels_as_nodes_on_the_way_to_the_deepest_leaf(rows):
    pack = pack_of(rows)
    deepest = 0
    for node in range(len(pack.nodes.starts)):
        above, parent = 0, pack.nodes.parents[node]
        while parent >= 0:
            above, parent = above + 1, pack.nodes.parents[parent]
        deepest = max(deepest, above)
    assert len(levels_of(pack, Reach()).levels) == deepest


def test_a_question_with_choices_behind_shots_takes_two_levels():
    shots = (9,) * 50
    levels = levels_of(
        pack_of([(*shots, 1, 1, 4), (*shots, 1, 1, 5), (*shots, 2, 4), (*shots, 2, 5)]), Reach()
    )
    assert [len(level.keys) for level in levels.levels] == [50, 3]
    assert [len(level.queries) for level in levels.levels] == [7, 4]
    assert levels.levels[1].key_edges.tolist() == [0, 2, 3]
