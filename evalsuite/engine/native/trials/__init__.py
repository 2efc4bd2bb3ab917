"""Trials: each form of computation is compared with plain forward passes before it is used."""
