# One image for the API, the worker and the command line: static binaries, certificates, time zones, nothing else.
FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN make build

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /usr/local/go/lib/time/zoneinfo.zip /zoneinfo.zip
COPY --from=build /src/bin/statek-api /src/bin/statek-worker /src/bin/statek /
ENV ZONEINFO=/zoneinfo.zip STATEK_LOG_FORMAT=json
USER 65532:65532
EXPOSE 8080
# The API by default. The worker: /statek-worker --listen-health 0.0.0.0:8081, with a check of its own.
CMD ["/statek-api", "--listen", "0.0.0.0:8080"]
HEALTHCHECK --interval=5s --timeout=4s --start-period=20s --retries=3 \
	CMD ["/statek", "health", "http://127.0.0.1:8080/readyz"]
