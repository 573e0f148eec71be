/** The package's face: the Fastify plugin that a metadata API registers, its types, and the error that `app.verifyToken` throws. */
import { mintmark } from './plugin/plugin.ts'

export default mintmark
export type { CognitoOptions, MachineOptions, MintmarkOptions } from './plugin/options.ts'
export type { AuthenticationHook } from './plugin/plugin.ts'
export type { RouteDemands } from './plugin/route-demands.ts'
export { VerifyError, type VerifyCode } from './verify/errors.ts'
export type { Principal } from './verify/principal.ts'
