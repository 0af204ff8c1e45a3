"""HTTP and nothing else: parse, call one function, return."""
