"""Subsets of a split: the first documents, or a random sample that grows."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from evalsuite.data.subset import ALL, Subset

MEMBERS = st.lists(st.sampled_from("abcde"), min_size=1, max_size=60)


@given(members=MEMBERS, count=st.integers(1, 70), seed=st.integers(0, 5), equally=st.booleans())
def test_a_subset_has_as_many_documents_as_asked_in_split_order(members, count, seed, equally):
    for subset in (Subset(limit=count), Subset(sample=count, seed=seed)):
        chosen = subset.indices(members, equally=equally)
        assert chosen == sorted(set(chosen))
        assert len(chosen) == min(count, len(members))
    assert ALL.indices(members) == list(range(len(members)))


@given(members=MEMBERS, some=st.integers(1, 30), more=st.integers(0, 30), equally=st.booleans())
def test_a_larger_subset_holds_the_smaller_one(members, some, more, equally):
    for small, large in (
        (Subset(limit=some), Subset(limit=some + more)),
        (Subset(sample=some), Subset(sample=some + more)),
    ):
        assert set(small.indices(members, equally=equally)) <= set(large.indices(members, equally=equally))


def test_a_sample_takes_from_each_member_in_proportion_or_equally():
    members = ["large"] * 900 + ["small"] * 100
    assert Counter(members[index] for index in Subset(sample=100).indices(members)) == {
        "large": 90,
        "small": 10,
    }
    equal = Counter(members[index] for index in Subset(sample=100).indices(members, equally=True))
    assert equal == {"large": 50, "small": 50}


def test_every_document_is_equally_likely_whatever_its_member():
    members = ["large"] * 24 + ["small"] * 6
    seeds = 3000
    drawn = Counter(index for seed in range(seeds) for index in Subset(sample=5, seed=seed).indices(members))
    expected = seeds * 5 / 30
    assert all(abs(drawn[index] - expected) < 5 * expected**0.5 for index in range(30))


def test_another_seed_draws_other_documents():
    members = [""] * 1000
    assert Subset(sample=50, seed=0).indices(members) == Subset(sample=50, seed=0).indices(members)
    assert Subset(sample=50, seed=0).indices(members) != Subset(sample=50, seed=1).indices(members)
