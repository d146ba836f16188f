import type { Names } from '../names'

export const topologyTables = (_t: Names): string => ''
export const topologyFunctions = (_t: Names): string => ''
