/** A browser: Debian's Chromium, without a window. */
import { existsSync } from 'node:fs'
import { chromium, type Browser, type Page } from 'playwright-core'
import type { Teardown } from './service.ts'

const PROGRAM = '/usr/bin/chromium'

/** CI installs Chromium, and has no business to skip. */
export const withoutChromium = process.env.CI !== 'true' && !existsSync(PROGRAM) && 'Chromium is not installed: apt-get install chromium'

export async function startChromium (t: Teardown): Promise<Browser> {
  // As root, in a container, Chromium cannot put itself into a sandbox. It meets only pages of this machine.
  const browser = await chromium.launch({ executablePath: PROGRAM, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
  t.teardown(async () => { await browser.close() })
  return browser
}

/**
 * A page of somebody who has no cookie yet. What the browser complains of about pages of `origin`, such as a breach of their content
 * security policy, is gathered.
 */
export async function openPage (browser: Browser, origin: string): Promise<{ page: Page, complaints: string[] }> {
  const context = await browser.newContext({ viewport: { width: 1000, height: 640 }, colorScheme: 'light' })
  const page = await context.newPage()
  page.setDefaultTimeout(20_000)
  const complaints: string[] = []
  page.on('console', message => { if (message.type() === 'error' && message.location().url.startsWith(origin)) complaints.push(message.text()) })
  page.on('pageerror', error => { complaints.push(error.message) })
  return { page, complaints }
}
