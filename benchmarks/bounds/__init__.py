"""How late each bound fires: `python -m benchmarks.bounds`."""
