import { compactVerify } from 'jose'
import type { SignatureJudge } from './trusted-issuer.ts'

/** Judges where a signed document is no token (the revocation feed), and what `aws-jwt-verify` will not judge. */
export const judgeByJose: SignatureJudge = async (token, key) => {
  try {
    await compactVerify(token, key.keyObject, { algorithms: ['RS256'] })
    return true
  } catch {
    return false
  }
}
