# One image for every service of the desk; docker-compose.yml chooses the command.
FROM python:3.12-slim AS build
WORKDIR /build
COPY requirements.lock ./
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements.lock

FROM python:3.12-slim
# libgomp1: LightGBM's threads
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home desk \
    && install -d -o desk -g desk /opt/desk /var/lib/desk /var/lib/airflow
COPY --from=build /opt/venv /opt/venv
WORKDIR /opt/desk
COPY pyproject.toml ./
COPY core/ core/
COPY storage/ storage/
COPY ingestion/ ingestion/
COPY features/ features/
COPY feature_repo/ feature_repo/
COPY trading/ trading/
COPY backtest/ backtest/
COPY research/ research/
COPY ml/ ml/
COPY monitoring/ monitoring/
COPY pipeline/ pipeline/
COPY desk/ desk/
COPY serving/ serving/
COPY dags/ dags/
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/desk \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CACHE_DIR=/tmp/numba \
    AIRFLOW_HOME=/var/lib/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/desk/dags \
    DATA_DIR=/var/lib/desk
USER desk
CMD ["python", "-m", "desk", "--help"]
