# Hookline for a PostgreSQL of your own. Build it with: docker build --tag hookline .
# What it needs: HOOKLINE_DATABASE_URL and HOOKLINE_ENCRYPTION_KEYS; without them it says so and
# ends. Mount a volume at /var/lib/hookline, or set HOOKLINE_ADMIN_KEY, to keep the first admin key.
# A container of `hookline worker` answers on HOOKLINE_WORKER_PORT alone: set it to 8080, or run it with --no-healthcheck.
FROM python:3.14-slim AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

FROM node:24-slim AS console
WORKDIR /build/console
COPY console/package.json console/package-lock.json console/.npmrc ./
RUN npm ci
COPY openapi/openapi.json ../openapi/
COPY docs/receivers.md ../docs/
COPY console .
RUN npm run build

FROM base AS wheel
WORKDIR /build
RUN python -m venv /build/tools
COPY requirements/build.txt requirements/
RUN /build/tools/bin/pip install --require-hashes --requirement requirements/build.txt
COPY pyproject.toml README.md alembic.ini ./
COPY migrations migrations
COPY src src
COPY --from=console /build/src/hookline/console src/hookline/console
RUN /build/tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir dist .

FROM base AS packages
RUN python -m venv /opt/hookline
COPY requirements/runtime.txt requirements/
RUN /opt/hookline/bin/pip install --require-hashes --requirement requirements/runtime.txt
COPY --from=wheel /build/dist dist
RUN /opt/hookline/bin/pip install --no-deps dist/*.whl \
    && /opt/hookline/bin/python -m compileall -q /opt/hookline/lib

FROM base
RUN useradd --system --uid 10001 --home-dir /var/lib/hookline --create-home hookline
COPY --from=packages /opt/hookline /opt/hookline
ENV PATH=/opt/hookline/bin:$PATH \
    HOOKLINE_EMBEDDED_POSTGRES=false \
    HOOKLINE_DATA_DIR=/var/lib/hookline \
    HOOKLINE_HOST=0.0.0.0 \
    HOOKLINE_PORT=8080 \
    HOOKLINE_LOG_FORMAT=json
USER 10001
WORKDIR /var/lib/hookline
VOLUME /var/lib/hookline
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['HOOKLINE_PORT'] + '/livez', timeout=2)"]
ENTRYPOINT ["hookline"]
CMD ["serve"]
