"""Every token sees, through the levels, exactly what it sees in the tree."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.engine.native.reach import Reach
from evalsuite.engine.native.trees.levels import Level, levels_of
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


def edges_of(level: Level) -> list[tuple[np.ndarray, np.ndarray]]:
    """The queries and keys of each sequence."""
    assert len(level.key_edges) == len(level.query_edges)
    queries, keys = (
        [positions[start:stop] for start, stop in pairwise(edges)]
        for positions, edges in ((level.queries, level.query_edges), (level.keys, level.key_edges))
    )
    assert all(map(len, (*queries, *keys)))
    return [*zip(queries, keys, strict=True)]


@settings(max_examples=150, deadline=None)
@given(sequences, st.sampled_from(REACHES), st.sampled_from([0, 1, 3, 64]))
def test_each_pair_that_sees_is_in_one_place_and_no_other_is(rows, reach, short):
    pack = pack_of(rows)
    levels = levels_of(pack, reach, short)
    found = np.zeros((len(pack), len(pack)), int)
    for queries, keys in edges_of(levels.own):
        for back, query in enumerate(queries[::-1]):
            near = keys[: len(keys) - back]
            found[query, near[-reach.window :] if reach.window else near] += 1
    for level in levels.levels:
        assert len(np.unique(level.queries)) == len(level.queries)
        for queries, keys in edges_of(level):
            found[np.ix_(queries, keys)] += 1
    for before, own, queries in levels.partly:
        keys = np.concatenate([before, np.arange(len(pack))[own]])
        near = reach.sees(pack.depths[queries, None], pack.depths[None, keys])
        assert not near.all()
        found[queries, keys] += near
    assert (found == seen(pack, reach)).all()
    assert len(levels.own.keys) <= 2 * len(pack)


@given(sequences)
def test_without_repeated_keys_there_are_as_many_levels_as_nodes_on_the_way_to_the_deepest_leaf(rows):
    pack = pack_of(rows)
    deepest = 0
    for node in range(len(pack.nodes.starts)):
        above, parent = 0, pack.nodes.parents[node]
        while parent >= 0:
            above, parent = above + 1, pack.nodes.parents[parent]
        deepest = max(deepest, above)
    assert len(levels_of(pack, Reach(), 0).levels) == deepest


SHOTS = (9,) * 100


def test_shots_are_a_level_and_a_short_question_is_repeated_in_front_of_its_choices():
    rows = [(*SHOTS, 1, 1, 4, 4), (*SHOTS, 1, 1, 5), (*SHOTS, 2, 4), (*SHOTS, 2, 5)]
    levels = levels_of(pack_of(rows), Reach())
    assert [len(level.keys) for level in levels.levels] == [100]
    assert [len(level.queries) for level in levels.levels] == [8]
    assert np.diff(levels.own.query_edges).tolist() == [100, 2, 2, 1, 1, 1, 1]
    assert np.diff(levels.own.key_edges).tolist() == [100, 2, 4, 3, 1, 2, 2]
    assert levels.own.keys[102:106].tolist() == [100, 101, 102, 103]
    assert levels.own.keys[106:109].tolist() == [100, 101, 104]


def test_long_nodes_keep_their_levels_and_take_the_short_ones_above_them_along():
    question = tuple(range(200, 270))
    rows = [(1, 2, *SHOTS, 3, *question, 7), (1, 2, *SHOTS, 3, *question, 8), (1, 2, *SHOTS, 4), (1, 5)]
    levels = levels_of(pack_of(rows), Reach())
    first, second = (level.keys.tolist() for level in levels.levels)
    assert first == [0, *range(1, 102)]
    assert second == [*range(102, 173)]


def test_many_children_of_a_short_node_do_not_multiply_the_keys():
    shared = tuple(range(5, 65))
    levels = levels_of(pack_of([(*shared, leaf) for leaf in range(100, 200)]), Reach())
    assert len(levels.own.keys) == 160
    assert [len(level.queries) for level in levels.levels] == [100]
