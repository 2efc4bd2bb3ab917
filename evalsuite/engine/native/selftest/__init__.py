"""`doctor --gpu-selftest`: the native engine's paths on tiny random models, against float64 on the CPU."""
