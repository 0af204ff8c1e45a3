"""How the service fares, in numbers for Prometheus: counted in memory, put into text on demand."""
