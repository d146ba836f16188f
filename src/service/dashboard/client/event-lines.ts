import type { DashboardState, LogLine } from '../document'
import { byId, element, redraw } from './element'
import { timeOfDay } from './words'

const KINDS: Readonly<Record<LogLine['kind'], string>> = {
  recommendation: 'good',
  resharding: '',
  skipped: 'soft',
  rescued: 'warn',
  action: 'warn',
  error: 'bad',
}

export function drawLog({ log }: DashboardState): void {
  redraw(byId('log'), log, () =>
    log.length === 0
      ? [element('p', { class: 'soft' }, 'Nothing yet.')]
      : log.map(({ at, kind, text }) =>
          element(
            'div',
            {},
            element('time', { datetime: new Date(at).toISOString() }, timeOfDay(at)),
            element('b', { class: KINDS[kind] || undefined }, kind),
            text,
          ),
        ),
  )
}
