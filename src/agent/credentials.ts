/** Credentials that lie in files: read anew for each request, since whoever keeps them renews them there. */
import { readFile } from 'node:fs/promises'
import type { Credential } from '../client/credential.ts'

/** A credential cannot be read, or is none. Somebody may be just writing it. */
export class CredentialUnusable extends Error {}

/** @param shown how the reader named the file: `--key`, `MINTMARK_CLIENT_SECRET_FILE` */
export async function readCredentialFile (file: string, shown: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new CredentialUnusable(`${shown} takes a readable file: ${(error as Error).message}`, { cause: error })
  })
  if (text.trim() === '') throw new CredentialUnusable(`${shown}: ${file} is empty`)
  return text.trim()
}

export const SUBJECT_TOKEN_TYPES = ['jwt', 'id_token', 'access_token'] as const

export interface SubjectToken {
  file: string
  type: (typeof SUBJECT_TOKEN_TYPES)[number]
  /** Picks a bot, where several trust the token. */
  clientId: string | undefined
}

/** A workload's own token, for that of the bot that trusts it (RFC 8693 2.1). */
export function subjectToken ({ file, type, clientId }: SubjectToken): Credential {
  return async () => ({
    form: {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: await readCredentialFile(file, '--subject-token-file'),
      subject_token_type: `urn:ietf:params:oauth:token-type:${type}`,
      ...(clientId !== undefined && { client_id: clientId })
    }
  })
}
