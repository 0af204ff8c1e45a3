"""Prometheus metrics: counted in memory, printed on demand."""
