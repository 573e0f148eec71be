/** `mintmark token`: one token of a bot, on stdout. */
import type { Command } from 'commander'
import { CredentialUnusable } from '../agent/credentials.ts'
import { TokenRefused, TokenUnavailable } from '../client/token-error.ts'
import { realWorld, startTokenSource, type IssuedToken } from '../client/token-source.ts'
import { readClient, withClientOptions, type ClientOptions } from './client.ts'
import { Failed, print, subcommand } from './output.ts'

/** How long to wait for a service that is away. */
export const PATIENCE_SECONDS = 15

export function addTokenCommand (program: Command): void {
  const command = withClientOptions(subcommand(program, 'token', 'fetch a token of a bot, and print it'))
  command.action(async (options: ClientOptions) => {
    const { source } = readClient(options, command, realWorld)
    const issued = await startTokenSource({ ...source, patienceSeconds: PATIENCE_SECONDS, onFailure: sayThatItWaits }).renew().catch(asFailure)
    print(options, showToken(issued), issued.token)
  })
}

function sayThatItWaits (error: unknown): void {
  if (error instanceof TokenUnavailable) console.error(`${error.message}; trying for ${PATIENCE_SECONDS} s`)
}

/** As the admin API shows a token that it has made. */
export function showToken ({ token, expiresAt }: IssuedToken): { token: string, tokenId: string | null, expiresAt: string } {
  const { jti, exp } = decodeUnverified(token)
  return {
    token,
    tokenId: typeof jti === 'string' ? jti : null,
    expiresAt: (typeof exp === 'number' ? new Date(exp * 1000) : expiresAt).toISOString()
  }
}

/** It has just come from the service itself, which vouches for it. */
function decodeUnverified (token: string): { jti?: unknown, exp?: unknown } {
  try {
    return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { jti?: unknown, exp?: unknown }
  } catch {
    return {}
  }
}

/** Why there is no token is said in a sentence. */
export function asFailure (error: unknown): never {
  const isSaid = [TokenRefused, TokenUnavailable, CredentialUnusable].some(kind => error instanceof kind)
  throw isSaid ? new Failed((error as Error).message, { cause: error }) : error
}
