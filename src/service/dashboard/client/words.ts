const few = new Intl.NumberFormat('en', { maximumSignificantDigits: 3, notation: 'compact' })
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const percent = new Intl.NumberFormat('en', { style: 'percent', maximumFractionDigits: 1 })
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const hour = new Intl.DateTimeFormat(undefined, { weekday: 'short', hour: '2-digit', minute: '2-digit' })
const day = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })

export const short = (value: number) => few.format(value)
export const count = (value: number) => whole.format(value)
export const share = (value: number) => percent.format(value)
export const fixed = (value: number, digits = 2) => value.toFixed(digits)
export const timeOfDay = (ms: number) => clock.format(ms)
export const weekdayHour = (ms: number) => hour.format(ms)
export const moment = (ms: number) => day.format(ms)

export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const at = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, value)) / 10)))
  return `${few.format(value / 1024 ** at)} ${units[at]}`
}

export function lasting(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 90) return `${seconds} s`
  const minutes = Math.round(seconds / 60)
  return minutes < 90 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`
}
