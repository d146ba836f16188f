import { readFileSync } from 'node:fs'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tagSegment } from '../../../src/placement/segment'
import { CHROMIUM, launch, WITHOUT_CHROMIUM } from './browser'
import { ACT, READ, type Shown, showDeployment } from './deployment'
import { PAGE_FILE, pageModule } from './page-build'

const EVENTUALLY = { timeout: 20_000 }

describe('page.ts', () => {
  it('is what its source makes', async () => {
    expect(readFileSync(PAGE_FILE, 'utf8') === (await pageModule()), 'run npm run dashboard').toBe(true)
  })
})

if (process.env.CI === 'true')
  it('there is a browser', () => expect(CHROMIUM, WITHOUT_CHROMIUM).toBeDefined())
if (!CHROMIUM) console.warn(WITHOUT_CHROMIUM)

describe.skipIf(!CHROMIUM)('the dashboard in a browser', () => {
  let shown: Shown
  let browser: Browser

  beforeAll(async () => {
    shown = await showDeployment()
    await shown.rebalancer.tick()
    browser = await launch()
  })
  afterAll(async () => {
    await browser?.close()
    await shown?.close()
  })

  /** A page that was let in, and whatever it complained about or asked of others. */
  async function open(token: string): Promise<{ page: Page; complaints: string[] }> {
    const complaints: string[] = []
    const page = await browser.newPage()
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('console', (message) => {
      // Before the token is given the server says no, and the browser notes it.
      if (message.type() === 'error' && !message.text().includes('401')) complaints.push(message.text())
    })
    page.on('request', (request) => {
      if (!request.url().startsWith(shown.url) && !request.url().startsWith('data:'))
        complaints.push(request.url())
    })
    await page.goto(shown.url)
    await page.fill('#token', token)
    await page.keyboard.press('Enter')
    await page.waitForSelector('#shards table')
    return { page, complaints }
  }

  it('asks for a token, and says when it is not known', async () => {
    const page = await browser.newPage()
    await page.goto(shown.url)
    await page.waitForSelector('#door:not([hidden])')
    expect(await page.isVisible('#main')).toBe(false)
    await page.fill('#token', 'some-other-token')
    await page.keyboard.press('Enter')
    await expect.poll(() => page.textContent('#doorError'), EVENTUALLY).not.toBe('')
    expect(await page.textContent('#doorError')).toContain('not known')
    await page.close()
  })

  it('shows shards, forecasts, heat and the recommendation; a token that may read cannot act', async () => {
    const { page, complaints } = await open(READ)
    await page.waitForSelector('#heat canvas')
    expect(await page.locator('#shards tbody tr').count()).toBe(4)
    expect(await page.locator('#heat tbody tr').count()).toBeGreaterThan(10)
    expect(await page.textContent('#outlookWords')).toMatch(/held .* of what came/)
    expect(await page.textContent('#advice')).toContain('busiest shard / mean')
    expect(await page.isDisabled('[data-key=accept]')).toBe(true)
    // What is drawn is there in words, too.
    expect(await page.getAttribute('#outlook', 'aria-label')).toContain('s1')
    expect(await page.getAttribute('#heat canvas >> nth=0', 'aria-label')).toMatch(/most, .* a second/)
    expect(complaints).toEqual([])
    await page.close()
  })

  it('is live: what is accessed shows without asking again', async () => {
    const { page, complaints } = await open(READ)
    const before = await page.textContent('#tiles')
    for (let i = 0; i < 500; i++) await shown.router.get(shown.busy[i % 8]!)
    await expect.poll(() => page.textContent('#tiles'), EVENTUALLY).not.toBe(before)
    expect(complaints).toEqual([])
    await page.close()
  })

  it('accepts, follows and rolls back, by the keyboard alone', async () => {
    const { page, complaints } = await open(ACT)
    await page.waitForSelector('[data-key=accept]')
    await page.focus('[data-key=accept]')
    await page.keyboard.press('Enter')
    await page.waitForSelector('[data-key^="back "]')
    expect(await page.textContent('#moves')).toContain('done')
    const moved = shown.router.placement
    await page.focus('[data-key^="back "]')
    await page.keyboard.press('Enter')
    await page.waitForSelector('#dialog[open] table')
    // The harmless answer has the focus.
    expect(await page.evaluate('document.activeElement.id')).toBe('dialogNo')
    await page.keyboard.press('Enter')
    await page.waitForSelector('#dialog:not([open])', { state: 'attached' })
    expect(shown.router.placement).toBe(moved)
    await page.focus('[data-key^="back "]')
    await page.keyboard.press('Enter')
    await page.waitForSelector('#dialog[open] table')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await expect.poll(() => page.locator('[data-key^="back "]').count(), EVENTUALLY).toBe(2)
    expect(shown.router.placement).not.toBe(moved)
    expect(complaints).toEqual([])
    await page.close()
  })

  it('shows names as text, whatever is in them', async () => {
    const evil = '<img src=x onerror=document.title=1>'
    const { page, complaints } = await open(ACT)
    const away = shown.router.getShardLocation(`{${evil}}`) === 's1' ? 's2' : 's1'
    const resharding = await shown.router.requestResharding(1, new Map([[tagSegment(evil), away]]), {
      reason: evil,
    })
    if (resharding.accepted) await resharding.done
    await expect.poll(() => page.textContent('#past'), EVENTUALLY).toContain(evil)
    expect(await page.title()).toBe('Foreshard')
    expect(await page.locator('main img').count()).toBe(0)
    expect(complaints).toEqual([])
    await page.close()
  })

  it('stays usable on a phone, in both colours', async () => {
    for (const colorScheme of ['light', 'dark'] as const) {
      const page = await browser.newPage({ colorScheme, viewport: { width: 390, height: 800 } })
      await page.goto(shown.url)
      await page.fill('#token', READ)
      await page.keyboard.press('Enter')
      await page.waitForSelector('#heat canvas')
      expect(await page.evaluate('document.documentElement.dataset.theme')).toBe(colorScheme)
      expect(await page.evaluate('document.documentElement.scrollWidth <= window.innerWidth')).toBe(true)
      await page.close()
    }
  })
})
