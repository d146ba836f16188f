import type { HeatDocument } from '../document'
import { button, byId, element, row, table } from './element'
import { short, weekdayHour } from './words'

let last: HeatDocument | undefined

/** A row a segment, a column an interval. Each row is also a sentence, for those who do not see it. */
export function drawHeat(it: HeatDocument, onChoose: (segment: string) => void): void {
  last = it
  const focused = document.activeElement?.getAttribute('data-key')
  const most = Math.max(1e-9, ...it.rows.flatMap(({ loads }) => loads))
  const length = it.rows[0]?.loads.length ?? 0
  const end = it.from + length * it.intervalMs
  byId('heatWords').textContent =
    length === 0
      ? 'Nothing is recorded yet.'
      : `${weekdayHour(it.from)} to ${weekdayHour(end)}; the darkest is ${short((most * 1000) / it.intervalMs)} accesses a second. Choose a segment to see its forecast.`
  const rows = it.rows.map(({ segment, shard, loads }) => {
    let peak = 0
    for (let t = 1; t < loads.length; t++) if (loads[t]! > loads[peak]!) peak = t
    const words = `most, ${short((loads[peak]! * 1000) / it.intervalMs)} a second, ${weekdayHour(it.from + peak * it.intervalMs)}`
    const strip = element('canvas', {
      width: String(loads.length),
      height: '1',
      role: 'img',
      'aria-label': words,
    })
    paint(strip, loads, most)
    strip.addEventListener('mousemove', ({ offsetX }) => {
      const t = Math.min(loads.length - 1, Math.floor((offsetX / strip.clientWidth) * loads.length))
      strip.title = `${weekdayHour(it.from + t * it.intervalMs)}: ${short((loads[t]! * 1000) / it.intervalMs)} a second`
    })
    return row([button(segment, `heat ${segment}`, 'plain', () => onChoose(segment)), strip, shard])
  })
  byId('heat').replaceChildren(
    table('Load of the hottest segments', ['Segment', 'Load by interval', 'Shard'], rows),
  )
  if (focused?.startsWith('heat '))
    byId('heat')
      .querySelector<HTMLElement>(`[data-key="${CSS.escape(focused)}"]`)
      ?.focus()
}

/** Again, in the colours of now. */
export function redrawHeat(onChoose: (segment: string) => void): void {
  if (last) drawHeat(last, onChoose)
}

/** By the square root, so that quiet segments can be told from idle ones. */
function paint(canvas: HTMLCanvasElement, loads: readonly number[], most: number): void {
  const context = canvas.getContext('2d')
  if (!context || loads.length === 0) return
  const style = getComputedStyle(document.documentElement)
  const [cold, hot] = ['--heat-0', '--heat-1'].map((name) =>
    style.getPropertyValue(name).trim().split(' ').map(Number),
  ) as [number[], number[]]
  const image = context.createImageData(loads.length, 1)
  loads.forEach((load, t) => {
    const part = Math.sqrt(load / most)
    for (let c = 0; c < 3; c++) image.data[4 * t + c] = Math.round(cold[c]! + part * (hot[c]! - cold[c]!))
    image.data[4 * t + 3] = 255
  })
  context.putImageData(image, 0, 0)
}
