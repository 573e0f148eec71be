import type { NewKey } from './rotation-plan.ts'
import type { SigningKey } from './signing-key.ts'

/**
 * Holds private halves, and nothing else: which key is current is the ring's business.
 * A KMS or an HSM fits here; its `sealedPrivateKey` is then a reference.
 */
export interface KeyVault {
  /** Makes an RSA key without blocking the event loop. */
  generate: () => Promise<NewKey>
  /** RSASSA-PKCS1-v1_5 with SHA-256 over `input` (RFC 7518 3.3). Throws if the private half is erased or does not open. */
  sign: (key: SigningKey, input: Buffer) => Promise<Buffer>
}
