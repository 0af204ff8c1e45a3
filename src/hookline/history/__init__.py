"""The read side: what became of events and deliveries."""
