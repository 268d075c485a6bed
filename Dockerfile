# The one image of every process: code server, webserver, daemon, `director` and the studio.  docs/operations.md
#
#     docker build -t director-diffusion .                            # --build-arg QUANTISED=1: bitsandbytes too
#     docker run --rm -v director:/var/lib/director director-diffusion director run nolan
#
# tests/deploy/test_dockerfile.py reads this file: what it copies, calls and exposes must be there.

FROM python:3.11-slim-bookworm AS built
ARG QUANTISED=
ENV UV_NO_CACHE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
RUN pip install --no-cache-dir uv==0.13.9
RUN uv venv --python python3.11 /opt/director
WORKDIR /src
# Exactly what `make install` installs, among it what Ray, Kubernetes, S3 and Postgres need.  Bytecode is written now:
# who runs the image may not write here, and what imports diffusers would start 9 s later each time.
COPY requirements.lock requirements-quantised.lock ./
RUN uv pip install --python /opt/director --require-hashes --compile-bytecode -r requirements.lock
RUN test -z "$QUANTISED" || uv pip install --python /opt/director --no-deps --require-hashes --compile-bytecode -r requirements-quantised.lock
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE workspace.yaml ./
COPY configs ./configs
COPY models/mini ./models/mini
COPY director_diffusion ./director_diffusion
COPY resources ./resources
COPY assets_defs ./assets_defs
COPY pipelines ./pipelines
RUN uv pip install --python /opt/director --no-deps --no-build-isolation --compile-bytecode .

FROM python:3.11-slim-bookworm
# tini is process 1: it ends what runs leave behind.  gcc is for recipes with `compiled: true`: Triton calls it.
RUN apt-get update && apt-get install -y --no-install-recommends tini gcc g++ libc6-dev && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 1000 --create-home director && install -d -o 1000 -g 1000 /app /var/lib/director
COPY --from=built /opt/director /opt/director
WORKDIR /app
# Mount configs of your own over /app/configs: `director add` and `director pin` write there.
COPY --chown=1000:1000 configs ./configs
COPY models/mini ./models/mini
COPY workspace.yaml ./
ENV PATH=/opt/director/bin:$PATH \
    PYTHONWARNINGS=ignore \
    TOKENIZERS_PARALLELISM=false \
    DAGSTER_HOME=/var/lib/director/dagster \
    DIRECTOR_STORE=/var/lib/director/store \
    DIRECTOR_DEVICES=/var/lib/director/devices \
    XDG_CACHE_HOME=/var/lib/director/cache
USER 1000:1000
VOLUME ["/var/lib/director"]
EXPOSE 3000 4266 7860
# It calls its arguments: Kubernetes and Ray give commands of their own.
ENTRYPOINT ["tini", "--"]
CMD ["dagster", "api", "grpc", "-m", "pipelines.definitions", "--host", "0.0.0.0", "--port", "4266"]
