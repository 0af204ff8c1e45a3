"""Postgres: models, connections, migrations, and the bundled server."""
