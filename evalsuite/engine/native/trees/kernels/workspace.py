"""Memory that the kernels of `scan` take for final states of chunks, and the heads that it serves at once."""

LARGEST_WORKSPACE = 2**29
"""Most bytes of the states of all chunks: heads are computed in groups whose states fit."""


def heads_at_once(chunks: int, heads: int, head_bytes: int) -> int:
    """Heads whose states are in memory together, at least one.

    Args:
        chunks: number of chunks whose states are stored.
        heads: heads of the layer.
        head_bytes: bytes of the state of a head.
    """
    return max(1, min(heads, LARGEST_WORKSPACE // max(1, chunks * head_bytes)))


def workspace_bytes(tokens: int, heads: int, width: int, state: int) -> int:
    """Most bytes that `path_scan` takes besides its inputs and its result.

    The states of chunks, of which there are at most as many as tokens; and a time step (float32) and a sum of
    decays (float64) per token and head.

    Args:
        tokens: tokens of the pack.
        heads: heads of the layer.
        width: channels of a head.
        state: state values per channel.
    """
    head_bytes = 4 * width * state
    states = min(tokens * heads * head_bytes, max(LARGEST_WORKSPACE, tokens * head_bytes))
    return states + 12 * tokens * heads
