import { invalid, shown } from './errors'
import { checkFields, type Fields } from './options'

export const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const
export type Day = (typeof DAYS)[number]

/** A time of the week in which data may be moved. */
export interface MaintenanceWindow {
  /** The days on which it begins; default all. */
  days?: readonly Day[]
  /** Local times, 'HH:MM', `to` excluded. One that ends before it begins goes over midnight; equal ones are a whole day. */
  from: string
  to: string
  /** An IANA name such as 'Europe/Berlin'; default 'UTC'. */
  timeZone?: string
}

const FIELDS: Fields<MaintenanceWindow> = { days: true, from: true, to: true, timeZone: true }
const MINUTE_MS = 60_000
const DAY_MINUTES = 1440
/** Offsets from UTC change at full quarters of an hour only. */
const QUARTER_MS = 15 * MINUTE_MS
/** A window comes round once a week; a clock that is set forward may skip it once. */
const SEARCHED_MS = 15 * 24 * 60 * MINUTE_MS

interface Checked {
  readonly days: ReadonlySet<number>
  readonly from: number
  readonly to: number
  readonly format: Intl.DateTimeFormat
}

/** When data may be moved: inside any of the windows, or always where there are none. */
export class MaintenanceWindows {
  readonly #windows: readonly Checked[]

  constructor(windows: readonly MaintenanceWindow[] | undefined, field = 'options.windows') {
    if (windows !== undefined && (!Array.isArray(windows) || windows.length === 0))
      throw invalid(
        field,
        "must be an array of { days?, from, to, timeZone? }, not empty; leave it out for 'always'",
      )
    this.#windows = (windows ?? []).map((window, i) => checked(window, `${field}[${i}]`))
  }

  isOpen(now: number): boolean {
    return (
      this.#windows.length === 0 || this.#windows.some((window) => isInside(window, localTime(window, now)))
    )
  }

  /** When it is open next, `now` if it is; undefined where no window comes within two weeks. */
  opensAt(now: number): number | undefined {
    return this.#next(now, true)
  }

  /** When it closes next, `now` where it is closed; undefined where it does not close. */
  closesAt(now: number): number | undefined {
    return this.#next(now, false)
  }

  #next(now: number, open: boolean): number | undefined {
    if (this.isOpen(now) === open) return now
    if (this.#windows.length === 0) return undefined
    const first = Math.floor(now / MINUTE_MS) * MINUTE_MS + MINUTE_MS
    for (
      let quarter = Math.floor(first / QUARTER_MS) * QUARTER_MS;
      quarter < now + SEARCHED_MS;
      quarter += QUARTER_MS
    ) {
      const local = this.#windows.map((window) => localTime(window, quarter))
      for (let minute = 0; minute < 15; minute++) {
        const at = quarter + minute * MINUTE_MS
        if (at < first) continue
        const inside = this.#windows.some((window, i) => isInside(window, later(local[i]!, minute)))
        if (inside === open) return at
      }
    }
    return undefined
  }
}

interface LocalTime {
  readonly day: number
  readonly minute: number
}

function localTime({ format }: Checked, at: number): LocalTime {
  const parts = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]))
  return {
    day: DAYS.indexOf(parts.weekday!.toLowerCase().slice(0, 3) as Day),
    minute: (Number(parts.hour) % 24) * 60 + Number(parts.minute),
  }
}

function later({ day, minute }: LocalTime, minutes: number): LocalTime {
  const sum = minute + minutes
  return { day: (day + Math.floor(sum / DAY_MINUTES)) % 7, minute: sum % DAY_MINUTES }
}

function isInside({ days, from, to }: Checked, { day, minute }: LocalTime): boolean {
  const today = days.has(day)
  if (from < to) return today && minute >= from && minute < to
  return (
    (today && minute >= from) ||
    (from !== to && days.has((day + 6) % 7) && minute < to) ||
    (today && from === to)
  )
}

function checked(window: MaintenanceWindow, field: string): Checked {
  checkFields(window, FIELDS, field)
  const { days = DAYS, from, to, timeZone = 'UTC' } = window
  if (!Array.isArray(days) || days.length === 0 || days.some((day) => !DAYS.includes(day)))
    throw invalid(`${field}.days`, `must name some of ${DAYS.join(', ')}, not ${shown(days)}`)
  let format: Intl.DateTimeFormat
  try {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    })
  } catch {
    throw invalid(
      `${field}.timeZone`,
      `must be an IANA time zone such as 'Europe/Berlin', not ${shown(timeZone)}`,
    )
  }
  return {
    days: new Set(days.map((day) => DAYS.indexOf(day))),
    from: minuteOf(from, `${field}.from`),
    to: minuteOf(to, `${field}.to`) % DAY_MINUTES,
    format,
  }
}

function minuteOf(text: string, field: string): number {
  const match = typeof text === 'string' ? /^(\d\d):(\d\d)$/.exec(text) : null
  const minute = match ? Number(match[1]) * 60 + Number(match[2]) : Number.NaN
  if (!(minute <= DAY_MINUTES) || Number(match![2]) > 59)
    throw invalid(field, `must be a time such as '22:30', not ${shown(text)}`)
  return minute
}
