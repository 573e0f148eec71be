import { compactVerify } from 'jose'
import type { SignatureJudge } from './trusted-issuer.ts'

/** Judges a token of ours where there is no request of ours to take it from: in somebody else's server, on the command line. */
export const judgeByJose: SignatureJudge = async (token, key) => {
  try {
    await compactVerify(token, key.keyObject, { algorithms: ['RS256'] })
    return true
  } catch {
    return false
  }
}
