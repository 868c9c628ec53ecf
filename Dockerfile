# The image holds the program, certificate authorities and nothing else; time zones are inside the program.
#
#   docker build -t sekisho .
#   docker run --read-only -p 1812:1812/udp -p 1813:1813/udp -v ./etc:/etc/sekisho:ro -v sekisho:/var/lib/sekisho \
#     -v sekisho-mark:/var/lib/sekisho-mark sekisho
#
# /etc/sekisho holds sekisho.yaml and what it names, readable for user 65532. Set storage.machine_id to a file there: a
# container has no /etc/machine-id of its own. `docker exec CONTAINER /sekisho token list` runs the operators' commands.
FROM golang:1.26 AS build
ARG VERSION=unknown
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /sekisho ./cmd/sekisho
RUN mkdir -p /root-of-image/etc/ssl/certs /root-of-image/run/sekisho /root-of-image/var/lib/sekisho /root-of-image/var/lib/sekisho-mark && \
    cp /etc/ssl/certs/ca-certificates.crt /root-of-image/etc/ssl/certs/ && cp /sekisho /root-of-image/ && \
    chown -R 65532:65532 /root-of-image/run/sekisho /root-of-image/var/lib

FROM scratch
COPY --from=build /root-of-image/ /
USER 65532:65532
EXPOSE 1812/udp 1813/udp
VOLUME ["/var/lib/sekisho", "/var/lib/sekisho-mark", "/run/sekisho"]
HEALTHCHECK --interval=10s --timeout=3s --start-period=1m CMD ["/sekisho", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/sekisho"]
CMD ["serve"]
