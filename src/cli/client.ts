/** What the commands have in common that are clients of the service: where it is, who asks, what is asked for. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import { readCredentialFile, SUBJECT_TOKEN_TYPES, subjectToken, type SubjectToken } from '../agent/credentials.ts'
import { privateKeyJwt } from '../agent/private-key-jwt.ts'
import { faultOfWork } from '../bots/pipelines.ts'
import { readClientSettings, type ClientSettings } from '../client-settings.ts'
import { clientSecretBasic, type Credential } from '../client/credential.ts'
import type { TokenSourceOptions, World } from '../client/token-source.ts'
import { environmentOfProcess } from '../config.ts'
import { isLoopback } from '../loopback.ts'
import { collect, scope, type OutputOptions } from './output.ts'

export interface ClientOptions extends OutputOptions {
  url?: string
  clientId?: string
  scope?: string[]
  audience?: string[]
  pipeline?: string
  run?: string
  key?: string
  kid?: string
  subjectTokenFile?: string
  subjectTokenType: SubjectToken['type']
  /** Taken only to be refused: an option that is not known would be repeated with its value. */
  clientSecret?: unknown
  secret?: unknown
}

const NO_SERVER_HELP = `
The secret is taken from MINTMARK_CLIENT_SECRET or, better, from the file that MINTMARK_CLIENT_SECRET_FILE names, never from an
option. --key and --subject-token-file need no secret. All these files are read anew for each request. No database is needed,
nor any other setting of the service.`

export function withClientOptions (command: Command): Command {
  return command
    .option('--url <address>', 'of the service (MINTMARK_URL)')
    .option('--client-id <name>', 'the bot (MINTMARK_CLIENT_ID)')
    .option('--scope <scope>', 'one of its scopes; repeatable (all by default)', scope)
    .option('--audience <audience>', 'one of its audiences; repeatable (all by default)', collect)
    .option('--pipeline <name>', 'what the token is for: its claim pipeline', workName)
    .option('--run <id>', 'and its claim run_id', workName)
    .option('--key <file>', 'sign with this private key in place of a secret (private_key_jwt): PEM, or a JWK')
    .option('--kid <kid>', 'its kid, where a JWK does not say it')
    .option('--subject-token-file <file>', 'exchange the token of a workload in place of a secret (RFC 8693)')
    .addOption(new Option('--subject-token-type <type>', 'of what kind that is').choices([...SUBJECT_TOKEN_TYPES]).default('jwt'))
    .addOption(new Option('--client-secret [secret]').hideHelp())
    .addOption(new Option('--secret [secret]').hideHelp())
    .addHelpText('after', NO_SERVER_HELP)
}

/** Throws as commander does where the usage is wrong, or `SettingsError`. */
export function readClient (options: ClientOptions, command: Command, { clock }: Pick<World, 'clock'>, signal?: AbortSignal): { source: TokenSourceOptions, settings: ClientSettings } {
  if (options.clientSecret !== undefined || options.secret !== undefined) {
    command.error('error: a secret on the command line can be read by every user of this machine, and stays in the shell\'s history: set MINTMARK_CLIENT_SECRET_FILE to a file that holds it')
  }
  if (options.key !== undefined && options.subjectTokenFile !== undefined) command.error('error: --key and --subject-token-file are two ways to say who asks: keep one of them')
  if (options.kid !== undefined && options.key === undefined) command.error('error: --kid goes with --key')
  const settings = readClientSettings(environmentOfProcess())
  const url = addressOf(options.url ?? settings.url ?? command.error('error: --url or MINTMARK_URL takes the address of the service'), settings, command)
  const clientId = options.clientId ?? settings.clientId
  return {
    settings,
    source: {
      url,
      credential: credentialOf(options, { ...settings, clientId }, command, { url, clock, signal }),
      allowHttp: settings.allowHttp,
      ...(options.scope && { scopes: options.scope }),
      ...(options.audience && { audiences: options.audience }),
      ...(options.pipeline !== undefined && { pipeline: options.pipeline }),
      ...(options.run !== undefined && { run: options.run }),
      ...(signal && { signal })
    }
  }
}

function credentialOf (options: ClientOptions, { clientId, clientSecret }: ClientSettings, command: Command, service: { url: string, clock: () => Date, signal: AbortSignal | undefined }): Credential {
  if (options.subjectTokenFile !== undefined) return subjectToken({ file: options.subjectTokenFile, type: options.subjectTokenType, clientId })
  if (clientId === undefined) return command.error('error: --client-id or MINTMARK_CLIENT_ID takes the name of the bot')
  if (options.key !== undefined) return privateKeyJwt({ ...service, clientId, file: options.key, kid: options.kid, fetch: globalThis.fetch })
  if (clientSecret === undefined) return command.error('error: there is nothing to say who asks: set MINTMARK_CLIENT_SECRET_FILE (or MINTMARK_CLIENT_SECRET), or give --key or --subject-token-file')
  if ('secret' in clientSecret) return clientSecretBasic(clientId, clientSecret.secret)
  return clientSecretBasic(clientId, async () => await readCredentialFile(clientSecret.file, 'MINTMARK_CLIENT_SECRET_FILE'))
}

function addressOf (text: string, { allowHttp }: ClientSettings, command: Command): string {
  const url = URL.parse(text)
  if (!url || !['http:', 'https:'].includes(url.protocol) || url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    return command.error('error: --url takes an http or https address without user, password, query and fragment')
  }
  if (url.protocol === 'http:' && !isLoopback(url.href) && !allowHttp) {
    return command.error('error: --url takes an https address: secrets and tokens travel there (http on loopback only, or on a private network with MINTMARK_ALLOW_HTTP=true)')
  }
  return text
}

function workName (text: string): string {
  if (faultOfWork({ pipelines: [] }, { run: text })) throw new InvalidArgumentError('It takes 1 to 256 characters, no control characters.')
  return text
}
