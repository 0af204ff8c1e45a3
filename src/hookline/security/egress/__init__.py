"""The way out over HTTP: who may be connected to, and the one transport that connects."""
