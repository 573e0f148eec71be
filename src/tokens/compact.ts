/** JWS Compact Serialization (RFC 7515 7.1); the vault, which may be far away, signs. @param payload JSON */
export async function signCompact (header: object, payload: Buffer, sign: (input: Buffer) => Promise<Buffer>): Promise<string> {
  const input = `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${payload.toString('base64url')}`
  return `${input}.${(await sign(Buffer.from(input, 'latin1'))).toString('base64url')}`
}
