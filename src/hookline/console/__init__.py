"""The bundled management console: static pages over the REST API."""
