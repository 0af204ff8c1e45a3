"""The HTTP server: protocol, connections, signals, and several processes on one port."""
