import { chromium } from 'playwright-core'
import { ACT, showDeployment } from './deployment'

const shown = await showDeployment({ capacities: { s1: 40, s2: 40, s3: 40, s4: 40 } })
const round = await shown.rebalancer.tick()
console.log(round)
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
})
for (const scheme of ['light', 'dark'] as const) {
  const page = await browser.newPage({ colorScheme: scheme, viewport: { width: 1280, height: 1000 } })
  page.on('console', (m) => console.log('console', m.text()))
  page.on('pageerror', (e) => console.log('pageerror', e.message))
  await page.goto(shown.url)
  await page.screenshot({ path: `/tmp/dash-door-${scheme}.png` })
  await page.fill('#token', ACT)
  await page.keyboard.press('Enter')
  await page.waitForSelector('#heat canvas')
  const t = setInterval(async () => {
    for (let i = 0; i < 50; i++) await shown.router.get(i % 3 ? shown.busy[i % 8]! : `tenant:${i}`)
  }, 50)
  await page.waitForTimeout(3000)
  clearInterval(t)
  await page.screenshot({ path: `/tmp/dash-${scheme}.png`, fullPage: true })
  if (scheme === 'light') {
    await page.click('[data-key=accept]')
    await page.waitForTimeout(2500)
    await page.screenshot({ path: '/tmp/dash-accepted.png', fullPage: true })
    await page.click('text=Go back behind it')
    await page.waitForTimeout(500)
    await page.screenshot({ path: '/tmp/dash-dialog.png' })
    await page.click('#dialogYes')
    await page.waitForTimeout(2000)
    console.log(await page.textContent('#past'))
  }
  await page.close()
}
await browser.close()
await shown.close()
