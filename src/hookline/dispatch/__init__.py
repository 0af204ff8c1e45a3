"""The engine, read in this order: ingest, lanes, deliver, record."""
