# mintmark, as docs/deploy-docker.md tells. Whatever is not named in .dockerignore stays out of the build.

FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# No package that runs here needs its install scripts: nothing is compiled, and nobody's script has run.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-slim
LABEL org.opencontainers.image.title="mintmark" \
      org.opencontainers.image.description="Issues and verifies the tokens of ingestion bots, beside Amazon Cognito's" \
      org.opencontainers.image.licenses="Apache-2.0"

COPY --from=dependencies /app/node_modules /app/node_modules
COPY package.json LICENSE /app/
COPY src /app/src

# "mintmark" is a command here: docker exec … mintmark bot list. A new volume takes over owner and mode of the folder it covers.
RUN chmod 0755 /app/src/cli.ts \
    && ln -s /app/src/cli.ts /usr/local/bin/mintmark \
    && install -d -o 1000 -g 1000 -m 0700 /data /keys

# Its paths are relative by default (data/mintmark.db, keys/master.key): from here, they are those of the volumes. They are not
# set below, so that MINTMARK_DATABASE_URL_FILE or MINTMARK_MASTER_KEY can be.
WORKDIR /
VOLUME ["/data", "/keys"]
ENV NODE_ENV=production \
    NODE_OPTIONS="--max-semi-space-size=16 --v8-pool-size=1" \
    MINTMARK_HOST=0.0.0.0

# A number, so that Kubernetes can see that it is not root.
USER 1000:1000
EXPOSE 8590
# The port as an env file of Docker's hands it on: with quotes, and with a comment after it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 \
    CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.MINTMARK_PORT?.match(/\\d+/)?.[0] ?? 8590}/health/ready`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["mintmark"]
CMD ["serve"]
