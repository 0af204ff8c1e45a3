"""Events and deliveries, durable: a port of few methods, and Postgres behind it."""
