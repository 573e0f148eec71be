/** The package's face: the Fastify plugin that a metadata API registers, and its types. */
import { mintmark } from './plugin/plugin.ts'

export default mintmark
export type { CognitoOptions, MachineOptions, MintmarkOptions } from './plugin/options.ts'
export type { AuthenticationHook } from './plugin/plugin.ts'
export type { RouteDemands } from './plugin/route-demands.ts'
export type { VerifyCode, VerifyError } from './verify/errors.ts'
export type { Principal } from './verify/principal.ts'
