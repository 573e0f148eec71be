#!/usr/bin/env bash
# Runs a pipeline on AWS (EC2, ECS, Lambda, …) without a stored secret: STS says which role this is, and that is exchanged for a token
# of aws-bot. Once for each account: aws iam enable-outbound-web-identity-federation; its issuer goes into MINTMARK_TRUSTED_ISSUERS.
# On EKS the sidecar of kubernetes.yaml does it, with the cluster's own issuer.
set -euo pipefail
umask 077

export MINTMARK_URL=https://tokens.example.com MINTMARK_CLIENT_ID=aws-bot
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# For five minutes: it is exchanged at once.
aws sts get-web-identity-token --audience "$MINTMARK_URL" --signing-algorithm ES384 --duration-seconds 300 \
  --query WebIdentityToken --output text >"$folder/role-token"

# ingestion.yaml says jwtToken: ${OM_JWT_TOKEN}
mintmark agent --subject-token-file "$folder/role-token" --exec metadata ingest -c ingestion.yaml
