# SPDX-License-Identifier: Apache-2.0
# The program and the libraries it was linked with, as a user of its own, under an init that hands
# signals on: `docker stop` is SIGTERM, after which what is complete is applied.
#
#   docker build -t penstock .
#   docker run -v $PWD/penstock.yaml:/etc/penstock/penstock.yaml:ro -v penstock:/var/lib/penstock \
#       -e PENSTOCK_TOKEN=... -p 127.0.0.1:8083:8083 penstock
#
# Relative paths of the file (data.dir, duckdb:warehouse.duckdb) are in /var/lib/penstock. To be
# reached from outside it needs `listen: 0.0.0.0:8083` and `api.token: ${env:PENSTOCK_TOKEN}`; the
# health check sends that token. docs/getting-started.md has a whole one.

FROM debian:bookworm-slim AS build
WORKDIR /src
COPY scripts/deps.sh scripts/
RUN sh scripts/deps.sh build .deps
COPY Makefile ./
COPY connectors connectors
COPY schemas schemas
COPY src src
ARG OPT=-O2
RUN make -j"$(nproc)" OPT="$OPT"
COPY README.md LICENSE ./
COPY examples examples
# What it is linked with, as Debian's packages; DuckDB's library is beside it.
RUN make install OPT="$OPT" DESTDIR=/out PREFIX=/usr \
    && strip /out/usr/lib/penstock/penstock \
    && rm -rf /out/usr/share \
    && mkdir debian && echo 'Source: penstock' >debian/control \
    && dpkg-shlibdeps -O --ignore-missing-info -l/out/usr/lib/penstock /out/usr/lib/penstock/penstock \
        | sed -n 's/^shlibs:Depends=//p' >/out/usr/lib/penstock/depends \
    && test -s /out/usr/lib/penstock/depends

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="penstock" \
    org.opencontainers.image.description="Keeps a warehouse (DuckDB, Postgres) equal to a running Postgres database" \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/usr/lib/penstock/depends /usr/lib/penstock/
RUN apt-get update -q \
    && apt-get satisfy -y -q --no-install-recommends "$(cat /usr/lib/penstock/depends), ca-certificates, curl, tini" \
    && apt-get clean && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home --home-dir /var/lib/penstock penstock \
    && install -d -o penstock -g penstock -m 750 /var/lib/penstock
COPY --from=build /out /
USER penstock
WORKDIR /var/lib/penstock
VOLUME /var/lib/penstock
EXPOSE 8083
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s \
    CMD ["sh", "-c", "exec curl -fsS -o /dev/null -H \"Authorization: Bearer $PENSTOCK_TOKEN\" http://127.0.0.1:8083/readyz"]
ENTRYPOINT ["tini", "--", "penstock"]
CMD ["run", "-c", "/etc/penstock/penstock.yaml"]
