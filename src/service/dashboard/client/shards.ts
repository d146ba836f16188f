import type { DashboardState, ShardState } from '../document'
import { byId, element, redraw, row, table } from './element'
import { fixed, share, short, weekdayHour } from './words'

const SVG = 'http://www.w3.org/2000/svg'

export function drawTiles({ now, recent, resharding }: DashboardState): void {
  const imbalances = recent.slice(-60).map(({ imbalance }) => imbalance)
  redraw(byId('tiles'), [now, imbalances, resharding?.phase], () => [
    tile(
      now.imbalance === undefined ? '–' : fixed(now.imbalance),
      'busiest shard / mean',
      sparkline(imbalances),
    ),
    tile(`${short(now.loadPerSecond)}/s`, 'load through this process'),
    tile(now.crossShard === undefined ? '–' : share(now.crossShard), 'transactions across shards, expected'),
    tile(`${short(now.refusedPerSecond)}/s`, 'refused and sent on'),
    tile(`${now.shards.filter(({ serves }) => serves).length} of ${now.shards.length}`, 'shards serve'),
  ])
}

function tile(value: string, words: string, picture?: Node): HTMLElement {
  return element('div', { class: 'tile' }, element('b', {}, value), element('span', {}, words), picture)
}

function sparkline(values: readonly number[]): Node | undefined {
  if (values.length < 2) return undefined
  const most = Math.max(...values, 1.0001)
  const svg = document.createElementNS(SVG, 'svg')
  svg.setAttribute('viewBox', '0 0 100 26')
  svg.setAttribute('preserveAspectRatio', 'none')
  svg.setAttribute('aria-hidden', 'true')
  const line = document.createElementNS(SVG, 'polyline')
  const points = values.map(
    (value, i) => `${(100 * i) / (values.length - 1)},${25 - (24 * (value - 1)) / (most - 1)}`,
  )
  line.setAttribute('points', points.join(' '))
  line.setAttribute('fill', 'none')
  line.setAttribute('stroke', 'var(--blue)')
  line.setAttribute('stroke-width', '1.5')
  line.setAttribute('vector-effect', 'non-scaling-stroke')
  svg.append(line)
  return svg
}

export function drawShards({ now: { shards } }: DashboardState): void {
  redraw(byId('shards'), shards, () => {
    const scale = Math.max(
      1e-9,
      ...shards.flatMap(({ loadPerSecond, peak, capacity }) => [
        loadPerSecond,
        peak?.upper ?? 0,
        capacity ?? 0,
      ]),
    )
    const rows = shards.map((shard) =>
      row(
        [
          name(shard),
          bar(shard, scale),
          `${short(shard.loadPerSecond)}/s`,
          share(shard.share),
          shard.peak ? `${short(shard.peak.mean)}/s ${weekdayHour(shard.peak.at)}` : '–',
          short(shard.segments),
        ],
        [2, 3, 4, 5],
      ),
    )
    const capacities = shards.some(({ capacity }) => capacity !== undefined)
    return [
      table(
        'Load of each shard',
        ['Shard', 'Load', 'now', 'share', 'forecast peak', 'segments'],
        rows,
        [2, 3, 4, 5],
      ),
      element(
        'p',
        { class: 'legend' },
        element('i', { style: 'background:var(--blue)' }),
        'now',
        element('i', { style: 'background:var(--amber)' }),
        'highest forecast of the next day',
        ...(capacities ? [element('i', { style: 'background:var(--ink)' }), 'capacity'] : []),
      ),
    ]
  })
}

function name({ shard, state, serves }: ShardState): Node {
  const word = !serves ? 'does not serve' : state === 'active' ? '' : state
  return element(
    'span',
    {},
    shard,
    word !== '' && element('span', { class: serves ? 'warn small' : 'bad small' }, ` ${word}`),
  )
}

function bar({ loadPerSecond, peak, capacity }: ShardState, scale: number): Node {
  const part = (value: number) => `${Math.min(100, (100 * value) / scale).toFixed(1)}%`
  return element(
    'div',
    { class: 'bar', 'aria-hidden': 'true' },
    element('i', { style: `width:${part(loadPerSecond)}` }),
    peak && element('u', { class: 'forecast', style: `left:${part(peak.mean)}` }),
    capacity !== undefined && element('u', { style: `left:${part(capacity)}` }),
  )
}
