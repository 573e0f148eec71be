/** Makes tokens by hand: any header, any payload, signed by whoever. What a good issuer would never write can be written here. */
import { createHmac, sign as signWithKey, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createLocalVault } from '../../src/keys/local-vault.ts'
import type { Service } from './service.ts'

export type Signer = (input: Buffer) => Buffer | Promise<Buffer>

/** An object is written as JSON; text and bytes are taken as they are. */
export type Content = object | string | Buffer

export function encodePart (content: Content): string {
  const bytes = Buffer.isBuffer(content) || typeof content === 'string' ? Buffer.from(content as string) : Buffer.from(JSON.stringify(content))
  return bytes.toString('base64url')
}

export async function forge (header: Content, payload: Content, sign: Signer): Promise<string> {
  const input = `${encodePart(header)}.${encodePart(payload)}`
  return `${input}.${Buffer.from(await sign(Buffer.from(input))).toString('base64url')}`
}

export function rs256 (key: KeyObject): Signer {
  return input => signWithKey('sha256', input, key)
}

export function hs256 (secret: string): Signer {
  return input => createHmac('sha256', secret).update(input).digest()
}

/** Signs with the key that signs now in `service`, whatever is put before it. */
export function realSigner ({ parts }: Service): Signer {
  const { masterKey } = parts.config
  const sealedBy = 'file' in masterKey ? Buffer.from(readFileSync(masterKey.file, 'utf8').trim(), 'base64url') : masterKey.keys[0]
  const key = parts.ring.signing()
  if (!sealedBy || !key) throw new Error('no key signs')
  const vault = createLocalVault([sealedBy], 2048)
  return async input => await vault.sign(key, input)
}

/** Header and payload of a token, for tests that make a variation of it. */
export function openToken (token: string): { header: Record<string, unknown>, payload: Record<string, unknown>, parts: [string, string, string] } {
  const [header = '', payload = '', signature = ''] = token.split('.')
  const read = (part: string): Record<string, unknown> => JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>
  return { header: read(header), payload: read(payload), parts: [header, payload, signature] }
}

/** `object` without some of its members. */
export function without (object: Record<string, unknown>, ...names: string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)))
}
