"""What Hookline is about, free of I/O: events, catalogue, selection, deliveries, retries."""
