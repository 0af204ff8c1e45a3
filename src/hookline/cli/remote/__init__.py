"""Commands for operators that call a server's REST API, wherever it runs."""
