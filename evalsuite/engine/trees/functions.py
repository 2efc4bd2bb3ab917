"""Names of the functions by which transformers' recurrent layers mix tokens (5.23), and which walk trees here."""

CONV, MAMBA_2_SCAN = "causal_conv1d_fn", "mamba2_chunk_scan"
DELTA_RULES = ("torch_chunk_gated_delta_rule", "chunk_kimi_delta_attention")
RECURRENCES = (MAMBA_2_SCAN, *DELTA_RULES)
