"""Integration records, and the snapshot that answers who wants an event."""
