/** What the commands share: what they take, and how they say what came of it. */
import { userInfo } from 'node:os'
import { InvalidArgumentError, type Command } from 'commander'
import { isBotName, SCOPE_PATTERN } from '../bots/bot.ts'
import { DURATION_FORM, parseDuration } from '../duration.ts'
import type { By } from '../telemetry/audit.ts'

/** Who acts, for the audit trail: whoever is logged in here. */
export function byCli (): By {
  return { actor: { kind: 'cli', name: userName() } }
}

/** A container may run as a number that no user of its image has. */
function userName (): string {
  try {
    return userInfo().username
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}`
  }
}

/** The command could not do what was asked; `message` says why. */
export class Failed extends Error {
  override name = 'Failed'
}

export interface OutputOptions {
  json?: true
}

/** A subcommand with the options that all have. A value may begin with `-`, as a kid does now and then. */
export function subcommand (parent: Command, usage: string, description: string): Command {
  return parent.command(usage).description(description).helpOption('--help').option('--json', 'answer in the shapes of the HTTP API')
}

export function print (options: OutputOptions, shape: unknown, text: string): void {
  console.log(options.json ? JSON.stringify(shape, null, 2) : text)
}

/** Columns as wide as their widest cell. */
export function table (rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  return rows.map(row => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd()).join('\n')
}

export function duration (text: string): number {
  const seconds = parseDuration(text)
  if (seconds === null) throw new InvalidArgumentError(`It takes ${DURATION_FORM}, from 1s up.`)
  return seconds
}

export function botName (text: string): string {
  if (!isBotName(text)) throw new InvalidArgumentError('A name is 1 to 64 of a-z, 0-9, ".", "_" and "-", and begins and ends with a letter or digit.')
  return text
}

export function scope (text: string, before: string[] = []): string[] {
  if (!new RegExp(SCOPE_PATTERN).test(text)) throw new InvalidArgumentError('A scope is visible ASCII without blanks, quotes and backslashes.')
  return collect(text, before)
}

export function reason (text: string): string {
  if (text.length < 1 || text.length > 200) throw new InvalidArgumentError('A reason has 1 to 200 characters.')
  return text
}

/** For options that may be given more than once. */
export function collect (text: string, before: string[] = []): string[] {
  if (text === '') throw new InvalidArgumentError('It may not be empty.')
  return before.includes(text) ? before : [...before, text]
}

export function noSuchBot (name: string): Failed {
  return new Failed(`there is no bot named ${name}; "bot list" shows those that there are`)
}
