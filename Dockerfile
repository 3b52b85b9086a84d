# The pair and the review page, for a database of your own:
#   docker build -t amocrm-to-crm:0.2.0 .
#   docker run --rm --read-only --tmpfs /tmp --user 54321 --env-file deploy/amocrm-sync.env -v state:/state amocrm-to-crm:0.2.0
# It runs as any numeric user and writes to /state alone.
FROM python:3.13-slim AS build
WORKDIR /src
COPY constraints.txt .
COPY tap-amocrm tap-amocrm
COPY target-crm target-crm
RUN python -m venv /opt/amocrm \
 && /opt/amocrm/bin/pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt \
    './tap-amocrm[shared-limit]' './target-crm[report,review]' \
 && /opt/amocrm/bin/python -m compileall -q /opt/amocrm/lib

FROM python:3.13-slim
COPY --from=build /opt/amocrm /opt/amocrm
COPY --chmod=755 deploy/amocrm-sync /opt/amocrm/bin/
COPY deploy/log-json.yaml /opt/amocrm/share/
COPY LICENSE /opt/amocrm/share/
# The folder that a volume takes its owner from.
RUN install -d -o 54321 -g 54321 -m 700 /state
ENV PATH=/opt/amocrm/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    STATE_FILE=/state/state.json
USER 54321:54321
WORKDIR /state
VOLUME /state
CMD ["amocrm-sync"]
