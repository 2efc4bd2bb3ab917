"""Whether a candidate may be released: a policy applied to a comparison."""
