/** examples/metadata-api as people meet it: in Chromium, through cognito-local's hosted UI, with mintmark and the API in processes of their own. */
import type { Page } from 'playwright-core'
import t from 'tap'
import { openStage } from '../../../examples/demo/stage.ts'
import { PEOPLE, startTown } from '../../../examples/metadata-api/try/town.ts'
import { openPage, startChromium, withoutChromium } from '../../fakes/chromium.ts'
import { freePort } from '../../fakes/shell.ts'

t.setTimeout(120_000)

const BREACH = '<img src=x onerror="document.title=\'breached\'"></textarea><b>bold</b>'

await t.test('people in a browser', { skip: withoutChromium }, async t => {
  const stage = await openStage()
  t.teardown(stage.close)
  const town = await startTown(stage, await freePort())
  const browser = await startChromium(t)

  const ada = await openPage(browser, town.url)
  await t.test('whoever comes is sent to the hosted UI, and back to the page that was asked for', async t => {
    await ada.page.goto(`${town.url}/tables/orders`)
    t.equal(new URL(ada.page.url()).origin, town.cognito.url)
    t.match(Object.fromEntries(new URL(ada.page.url()).searchParams), { response_type: 'code', code_challenge_method: 'S256', client_id: town.env.AUTHENTICATION_CLIENT_ID, redirect_uri: `${town.url}/callback`, state: /^.{43}$/ })

    await fillIn(ada.page, { username: 'ada', password: 'wrong' })
    t.match(await ada.page.textContent('body'), /Incorrect username or password/)
    await fillIn(ada.page, PEOPLE.ada)
    t.equal(ada.page.url(), `${town.url}/tables/orders`)
    t.equal(await ada.page.textContent('#name'), 'ada')
    t.strictSame(await ada.page.locator('.group').allTextContents(), ['analysts'])
    t.equal(await ada.page.locator('.admin').count(), 0)
  })

  await t.test('the browser holds a cookie that scripts cannot read, and no token', async t => {
    const cookies = await ada.page.context().cookies(town.url)
    t.match(cookies, [{ name: 'session', httpOnly: true, sameSite: 'Lax', path: '/' }])
    t.equal(cookies.length, 1)
    t.equal(await ada.page.evaluate('document.cookie + localStorage.length + sessionStorage.length'), '00')
    t.notMatch(cookies[0]?.value, /eyJ/)
  })

  await t.test('what is nobody\'s can be taken, and what is one\'s own be edited', async t => {
    t.equal(await ada.page.locator('textarea').count(), 0, 'not while it is nobody\'s')
    await ada.page.getByRole('button', { name: 'This is mine' }).click()
    t.equal(await ada.page.textContent('#owner'), 'ada')
    await ada.page.getByLabel('Description').fill(BREACH)
    await ada.page.getByRole('button', { name: 'Save' }).click()
    await ada.page.waitForURL(`${town.url}/tables/orders`)
    t.equal(await ada.page.inputValue('textarea'), BREACH, 'as it was typed')
    t.match(await ada.page.title(), 'orders', 'and never run')
    await ada.page.goto(town.url)
    t.match(await ada.page.locator('tr', { hasText: 'orders' }).textContent(), /bold.*ada\s+you may edit/s)
    t.equal(await ada.page.locator('td b, td img').count(), 0)
  })

  await t.test('somebody else may read it, and not edit it', async t => {
    const grace = await openPage(browser, town.url)
    await grace.page.goto(`${town.url}/tables/orders`)
    await fillIn(grace.page, PEOPLE.grace)
    t.equal(await grace.page.textContent('p#description'), BREACH)
    t.equal(await grace.page.locator('textarea').count(), 0)
    t.equal(await grace.page.getByRole('button', { name: 'This is mine' }).count(), 0)

    // With her own form of another table, sent to this one.
    await grace.page.goto(`${town.url}/tables/payments`)
    await grace.page.getByRole('button', { name: 'This is mine' }).click()
    await grace.page.locator('form.edit').evaluate((form: { action: string }) => { form.action = '/tables/orders' })
    await grace.page.getByRole('button', { name: 'Save' }).click()
    await grace.page.getByRole('heading', { name: 'Not allowed' }).waitFor()
    t.match(await grace.page.textContent('main'), /orders belongs to ada: only its owner and admins may edit it/)
  })

  await t.test('an admin, by group, may edit it', async t => {
    const barbara = await openPage(browser, town.url)
    await barbara.page.goto(`${town.url}/tables/orders`)
    await fillIn(barbara.page, PEOPLE.barbara)
    t.equal(await barbara.page.textContent('.person .admin'), 'admin')
    await barbara.page.getByLabel('Description').fill('Mended by an admin.')
    await barbara.page.getByRole('button', { name: 'Save' }).click()
    await barbara.page.getByText('by barbara').waitFor()
    t.equal(await barbara.page.textContent('#owner'), 'ada', 'whose it is stays')
    t.strictSame(barbara.complaints, [])
  })

  await t.test('whoever signs out is out, here and at the hosted UI', async t => {
    const cookies = await ada.page.context().cookies(town.url)
    const left = ada.page.waitForRequest(/\/logout\?/)
    await ada.page.getByRole('button', { name: 'Sign out' }).click()
    const { searchParams } = new URL((await left).url())
    t.strictSame(Object.fromEntries(searchParams), { logout_uri: `${town.url}/signed-out`, client_id: town.env.AUTHENTICATION_CLIENT_ID })
    await ada.page.waitForURL(`${town.url}/signed-out`)
    t.strictSame(await ada.page.context().cookies(town.url), [])

    await ada.page.context().addCookies(cookies)
    await ada.page.goto(town.url)
    t.equal(new URL(ada.page.url()).origin, town.cognito.url, 'the old cookie opens nothing')
    t.strictSame(ada.complaints, [], 'the browser had nothing to complain of')
  })
})

async function fillIn (page: Page, { username, password }: { username: string, password: string }): Promise<void> {
  await page.locator('input[name=username]').fill(username)
  await page.locator('input[name=password]').fill(password)
  await Promise.all([page.waitForEvent('load'), page.getByRole('button', { name: 'Sign in' }).click()])
}
